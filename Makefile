# `make reproduce`, `make test` and `make lab` set everything up by themselves: they need Python 3.11+ and make.
PYTHON ?= python3
PROFILE ?= class
DATA ?= phantom
BENCH ?=
VENV := .venv
READY := $(VENV)/.ready
# Tests that share something dear, such as a reproduction, stay with one of the two workers.
TWO := -n 2 --dist loadgroup
# What is true of the networks on any backend.
NEUTRAL := tests/test_networks.py tests/test_blocks.py tests/test_losses.py tests/figures/test_graph.py tests/figures/test_diagrams.py

.PHONY: reproduce test test-quick test-torch lab bench lint notebooks lock clean
.DELETE_ON_ERROR:

reproduce: $(READY)
	$(VENV)/bin/lvseg reproduce --profile $(PROFILE) --data "$(DATA)"

test: $(READY)
	$(VENV)/bin/python -m pytest $(TWO)
	KERAS_BACKEND=jax XLA_FLAGS=--xla_backend_optimization_level=0 $(VENV)/bin/python -m pytest $(TWO) $(NEUTRAL)

# What takes less than five seconds a test: two minutes in all.
test-quick: $(READY)
	$(VENV)/bin/python -m pytest $(TWO) -m "not slow"

# The same tests of networks and losses on PyTorch: `.venv/bin/pip install torch` first.
test-torch: $(READY)
	KERAS_BACKEND=torch $(VENV)/bin/python -m pytest $(NEUTRAL) tests/test_backends.py

lab: $(READY)
	$(VENV)/bin/jupyter lab notebooks/00_start_here.ipynb

bench: $(READY)
	$(VENV)/bin/python -m benchmarks $(BENCH)

lint: $(READY)
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

# The committed notebooks carry their outputs; 05 and 06 show a finished `make reproduce`.
notebooks: $(READY)
	$(VENV)/bin/jupyter nbconvert --ExecutePreprocessor.record_timing=False --to notebook --execute --inplace notebooks/0*.ipynb

lock: $(READY)
	$(VENV)/bin/pip install --quiet uv
	$(VENV)/bin/python binder/lock.py

clean:
	rm -rf $(VENV) runs report

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { echo "lvseg needs Python 3.11, 3.12 or 3.13: make PYTHON=python3.11 ..."; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
