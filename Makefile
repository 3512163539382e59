# The verbs of this project. Each sets up what it needs: a virtual environment with the exact versions that are tested.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --no-compile  # what is imported is compiled then: a third of all that there is
LINT := $(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
SIDE_BY_SIDE ?= --numprocesses auto --maxprocesses 8 --dist worksteal

# Stamps: what is installed. Each holds more than the one before.
RUN := $(VENV)/.ready
CHECK := $(VENV)/.ready-dev
TEST := $(VENV)/.ready-dev-all

NEWEST := .venv-newest

# Where nothing is compiled on disk, as some containers have it, each process compiles all of torch anew.
export PYTHONDONTWRITEBYTECODE :=

# torch, and what its builds for GPUs bring
NVIDIA := cublas cuda-cupti cuda-nvrtc cuda-runtime cudnn-cu13 cufft cufile curand cusolver cusparse cusparselt-cu13 \
  nccl-cu13 nvjitlink nvshmem-cu13 nvtx
UNLOCKED := torch triton cuda-bindings cuda-pathfinder cuda-toolkit $(NVIDIA:%=nvidia-%)

.PHONY: help install run test quick lint format bench newest faults examples matrix published site lock clean

help: ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

install: $(CHECK) ## make the virtual environment in .venv, for work on genkit

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "genkit needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Give another: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUN): LOCK := run
$(CHECK): LOCK := dev
$(TEST): LOCK := dev-all
$(CHECK) $(TEST): EXTRAS = [$(LOCK)]
# Every file is checked against its hash but torch's, whose builds differ from machine to machine. Two halves of the list
# are installed side by side; an entry begins in the first column, and its hashes follow below it.
$(RUN) $(CHECK) $(TEST): HALF = --require-hashes --no-deps --requirement $(VENV)
$(RUN) $(CHECK) $(TEST): pyproject.toml constraints.txt $(wildcard requirements/*.txt) | $(BIN)/python
	awk '/^[^ ]/ { n++ } { print > "$(VENV)/half-" n % 2 ".txt" }' requirements/$(LOCK).txt
	$(BIN)/$(INSTALL) $(HALF)/half-0.txt & half=$$!; $(BIN)/$(INSTALL) $(HALF)/half-1.txt; other=$$?; wait $$half && exit $$other
	$(BIN)/$(INSTALL) --no-build-isolation --constraint constraints.txt --editable '.$(EXTRAS)'
	@touch $@

run: $(RUN) ## train a variational autoencoder on handwritten digits and say where its pictures are
	$(BIN)/genkit run examples/vae-digits.yaml

test: $(TEST) ## static checks and all tests, side by side
	@touch $(RUN) $(CHECK)
	@{ $(LINT); } >$(VENV)/lint.txt 2>&1 & lint=$$!; \
	$(BIN)/python -m pytest -m "" $(SIDE_BY_SIDE); tests=$$?; \
	wait $$lint; lint=$$?; cat $(VENV)/lint.txt; \
	[ $$lint = 0 ] || echo "ruff or mypy: failed, as printed above"; \
	[ $$tests = 0 ] || echo "the tests: failed, as printed further above"; \
	exit $$((lint + tests))

quick: $(CHECK) ## the quick tests alone
	$(BIN)/python -m pytest $(SIDE_BY_SIDE)

lint: $(CHECK) ## ruff and mypy
	$(LINT)

format: $(CHECK) ## bring the code into the project's form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(RUN) ## training throughput of the examples, eager and compiled
	$(BIN)/python -m benchmarks.throughput

FAULTS ?= 10000
faults: $(TEST) ## kills, full disks, generated and hostile files: FAULTS=10000 of them, in about half an hour
	FAULTS=$(FAULTS) $(BIN)/python -m pytest -m "" $(SIDE_BY_SIDE) tests/faults

examples: $(TEST) ## every example to its end, in about an hour: each has to live; for the gallery: docs/gallery
	EXAMPLES=docs/gallery $(BIN)/python -m pytest -m "" tests/test_examples.py

matrix: $(TEST) ## every posterior with every prior, compiled and exported too: benchmarks/results/matrix.md
	MATRIX=benchmarks/results/matrix.md $(BIN)/python -m pytest -m "" tests/test_matrix.py

published: $(TEST) ## figures of papers that take minutes to compute
	PUBLISHED=1 $(BIN)/python -m pytest -m "" tests/evaluation/test_sample_quality.py

site: $(TEST) ## the documentation site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

newest: ## all tests on the newest torch there is, in an environment of its own
	$(PYTHON) -m venv $(NEWEST)
	grep -vE '^(torch|sympy)==' constraints.txt >$(NEWEST)/constraints.txt
	$(NEWEST)/bin/$(PIP) install --upgrade --constraint $(NEWEST)/constraints.txt torch --editable '.[dev-all]'
	$(NEWEST)/bin/python -m pytest -m "" $(SIDE_BY_SIDE)

lock: $(CHECK) ## pin the dependencies anew, with the hashes of their files, by the versions of constraints.txt
	$(BIN)/$(PIP) install uv
	for lock in run dev dev-all; do \
	  $(BIN)/uv pip compile pyproject.toml requirements/build.in $$([ $$lock = run ] || echo --extra $$lock) \
	    --constraint constraints.txt --generate-hashes --universal --python-version 3.11 --no-header --no-annotate \
	    $(UNLOCKED:%=--no-emit-package %) --quiet --output-file requirements/$$lock.txt; \
	done

clean: ## remove the virtual environments and caches; runs stay
	rm -rf $(VENV) $(NEWEST) site .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
