# graphc: `make demo` and `make test` each do all the set-up that they need.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Guard pages on either side of what kernels may touch: all tests. What every schedule, machine, call path and number of threads
# must leave as it is: those that run kernels.
GUARDS := GRAPHC_GUARD=1 GRAPHC_GUARD=start
MODES := GRAPHC_SCHEDULE=serial GRAPHC_SCHEDULE=parallel GRAPHC_SCHEDULE=scalar \
	GRAPHC_CONVOLUTION=direct GRAPHC_CONVOLUTION=winograd GRAPHC_MACHINE=avx2 GRAPHC_MACHINE=sse GRAPHC_THREADS=1 \
	GRAPHC_THREADS=4 GRAPHC_CALL_PATH=python
MODE_TESTS := tests/runtime tests/graphc/ops

.PHONY: test check-modes lint types demo bench fuzz clean

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable ".[test,examples,draw]"
	touch $(READY)

test: $(READY) lint types
	$(BIN)/python -m pytest -n 2 --dist worksteal tests

check-modes: $(READY)
	@for mode in $(GUARDS); do \
		echo "$$mode"; env $$mode $(BIN)/python -m pytest -q -n 2 --dist worksteal tests || exit 1; \
	done
	@for mode in $(MODES); do \
		echo "$$mode"; env $$mode $(BIN)/python -m pytest -q -n 2 --dist worksteal $(MODE_TESTS) || exit 1; \
	done

lint: $(READY)
	$(BIN)/ruff check graphc passes runtime tests examples benchmarks

types: $(READY)
	$(BIN)/mypy

demo: $(READY)
	$(BIN)/python examples/digits_cnn.py --output demo
	@echo "graphs, programs, the loss curve and the time per kernel are in demo/"

bench: $(READY)
	$(BIN)/python benchmarks/works.py

fuzz: $(READY)
	$(BIN)/python -m pytest -n 2 -m long tests

clean:
	rm -rf $(VENV) build dist demo *.egg-info
