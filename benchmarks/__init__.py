"""The same work in JAX and in PyTorch, side by side: python -m benchmarks --out DIR.

Needs PyTorch (pip install -e .[benchmark]). For one device; both sides compute in float32, and on
a GPU both multiply in TF32, which is the default of JAX there.
"""
