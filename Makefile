# Every target sets up .venv by itself from the lock files and costs nothing the second time.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORE := $(VENV)/.core
DEV := $(VENV)/.dev
# What the tests may use at once; `make test WORKERS=1` runs them in one process.
WORKERS ?= auto

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench pack clean baseline lock

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Mimicry needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1 || echo not there). Try: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(CORE): $(VENV)/pyvenv.cfg requirements/core.txt pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/core.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): $(CORE) requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

demo: $(CORE) ## generate data, run the baseline through both competitions, show the board
	$(BIN)/mimicry demo

test: $(DEV) ## run all tests
	$(BIN)/python -m pytest -n $(WORKERS)

lint: $(DEV) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(DEV) ## measure scoring and ingestion against plain references, write benchmarks/RESULTS.md
	$(BIN)/python benchmarks/run.py

pack: $(CORE) ## build every competition's zip into dist/
	$(BIN)/mimicry pack

baseline: $(CORE) ## train the colour pattern baseline anew on the demo training set
	$(BIN)/python examples/training/color_pattern.py

lock: $(DEV) ## renew the lock files
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" requirements/core.in -o requirements/core.txt
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" requirements/dev.in -o requirements/dev.txt

clean: ## remove everything that make and the demo generated, and nothing else
	@python=$(BIN)/python; [ -x $$python ] || python=$(PYTHON); \
	  $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Removing the demo data needs Python 3.11 or newer. Try: make PYTHON=python3.12 clean" >&2; exit 1; }; \
	  PYTHONPATH=src $$python -B -m mimicry.demo.cleaning
	rm -rf $(VENV) dist build runs/demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@rmdir runs 2>/dev/null || true
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
