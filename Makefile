# graphc: `make demo` and `make test` each do all the set-up that they need.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: test lint types demo bench fuzz clean

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable ".[test,examples,draw]"
	touch $(READY)

test: $(READY) lint types
	$(BIN)/python -m pytest -n 2 --dist worksteal tests

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
