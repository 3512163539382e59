# The verbs of this project. Each sets up what it needs: a virtual environment with the exact versions that are tested.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help install run test quick lint format bench clean

help: ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

install: $(READY) ## make the virtual environment in .venv

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "genkit needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Give another: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

run: $(READY) ## train a variational autoencoder on handwritten digits and say where its pictures are
	$(BIN)/genkit run examples/vae-digits.yaml

test: $(READY) lint ## static checks and all tests
	$(BIN)/python -m pytest -m ""

quick: $(READY) ## the quick tests alone
	$(BIN)/python -m pytest

lint: $(READY) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY) ## bring the code into the project's form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) ## training throughput of the examples, eager and compiled
	$(BIN)/python -m benchmarks.throughput

clean: ## remove the virtual environment and caches; runs stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
