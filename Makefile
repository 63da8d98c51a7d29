# make demo    every method on faces with holes, with the networks that come with the package
# make demo-train    train two small networks in front of you and inpaint with them
# make test    format, types, and the test suite
# make test-slow    the tests that take minutes, and all that hold JAX and PyTorch to one another
# make benchmark    the same work in JAX and in PyTorch, side by side
#
# Each target sets up what it needs in .venv. To use a GPU or TPU, install JAX for it there first:
#     make .venv && .venv/bin/pip install -e . "jax[cuda13]"     (or "jax[tpu]")

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo demo-train test test-slow format benchmark clean

demo: .venv/bundled
	$(BIN)/python inpaint.py configs/demo.py
	@echo "Look at it in a browser: $(CURDIR)/runs/demo/report.html"

demo-train: .venv/bundled
	$(BIN)/python train.py configs/demo_digits.py --workdir runs/demo-train/digits
	$(BIN)/python inpaint.py configs/demo_digits_inpaint.py
	$(BIN)/python train.py configs/demo_photographs.py --workdir runs/demo-train/photographs
	$(BIN)/python inpaint.py configs/demo_photographs_inpaint.py
	@echo
	@echo "Look at the results in a browser:"
	@echo "    $(CURDIR)/runs/demo-train/digits-completed/report.html"
	@echo "    $(CURDIR)/runs/demo-train/photographs-completed/report.html"

test: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

test-slow: .venv/dev .venv/benchmark
	$(BIN)/pytest -m slow
	$(BIN)/pytest $$(grep -l '"torch"' tests/test_*.py)

format: .venv/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmark: .venv/benchmark
	$(BIN)/python -m benchmarks --out runs/benchmark

clean:
	rm -rf .venv

.venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "ce_jax needs Python 3.11 or newer; name one: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv

# The stamp of an extra is newer than the files that say what it consists of.
.venv/%: setup.cfg pyproject.toml | .venv
	$(BIN)/pip install --quiet --editable ".[$*]"
	@touch $@
