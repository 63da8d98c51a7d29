"""The same work in JAX and in PyTorch, side by side: python -m benchmarks --out DIR.

Needs PyTorch (pip install -e .[benchmark]). For one device. On a GPU both sides multiply in TF32,
which is the default of JAX there, and besides in bfloat16.
"""

import os

# As the programs have it; read when NumPy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
