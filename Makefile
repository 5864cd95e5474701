# `make help` lists what can be made. Everything is installed into a virtual environment in .venv.

PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help install demo test bench lint format wheel clean

help:  ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("mixdata needs Python 3.11 or newer; try: make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

install: .venv/installed  ## Make the virtual environment and install mixdata with pinned dependencies

demo: install  ## Build the demo dataset anew with the embedded defaults and print its statistics
	rm -rf demo-dataset
	$(BIN)/mixdata build --recipe separated_pseudo --out demo-dataset
	$(BIN)/mixdata stats demo-dataset

test: install  ## Run the tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

bench: install  ## Measure loading beside other containers and write the tables into docs/benchmarks.md
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,bench]'
	$(BIN)/pip install --quiet --no-deps --requirement benchmarks/peers.txt
	$(BIN)/python -m benchmarks.loading --folder bench --json bench/results.json --write docs/benchmarks.md

lint: install  ## Check style and types
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

format: install  ## Bring the code into its style
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

wheel: install  ## Build the wheel into dist/
	$(BIN)/python -m build --wheel

clean:  ## Remove what was made here
	rm -rf .venv build dist bench demo-dataset runs .pytest_cache .hypothesis .mypy_cache .ruff_cache
