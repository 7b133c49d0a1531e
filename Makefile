# Every target sets up .venv by itself from the lock files and costs nothing the second time.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORE := $(VENV)/.core
MODELS := $(VENV)/.models
DEV := $(VENV)/.dev
# What the tests may use at once; `make test WORKERS=1` runs them in one process.
WORKERS ?= auto

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench fuzz pack clean baseline backbones lock image image-torch notebooks pictures

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Mimicry needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1 || echo not there). Try: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(CORE): $(VENV)/pyvenv.cfg requirements/core.txt pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/core.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# torch by itself: the registry's build for Linux brings several GB of CUDA packages.
$(MODELS): $(CORE) requirements/models.txt requirements/image-torch-cpu.txt requirements/install_torch.py
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/models.txt
	$(BIN)/python requirements/install_torch.py
	@touch $@

$(DEV): $(MODELS) requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

demo: $(MODELS) ## generate data, run the baselines through every competition, show the boards
	$(BIN)/mimicry demo

test: $(DEV) ## run all tests
	$(BIN)/python -m pytest -n $(WORKERS)

lint: $(DEV) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(DEV) ## measure scoring and ingestion against plain references, write benchmarks/RESULTS.md
	$(BIN)/python benchmarks/run.py

fuzz: $(DEV) ## let a fuzzer guided by coverage loose on every parser, for a minute
	$(BIN)/python tests/fuzzing/run.py --seconds 60

notebooks: $(DEV) ## open the notebooks of examples/ and starting_kit/ (installs JupyterLab)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check jupyterlab
	$(BIN)/jupyter lab

pack: $(CORE) ## build every competition's zip into dist/
	$(BIN)/mimicry pack

image: $(CORE) ## build the container images that the YAML files name (BASE_IMAGE=...)
	$(BIN)/python docker/build.py $(if $(BASE_IMAGE),--base $(BASE_IMAGE))

image-torch: $(CORE) ## the one with torch, timm and OpenCLIP alone (VARIANT=gpu for CUDA)
	$(BIN)/python docker/build.py --torch --variant $(or $(VARIANT),cpu) $(if $(BASE_IMAGE),--base $(BASE_IMAGE))

baseline: $(CORE) ## train the colour pattern baseline anew on the demo training set
	$(BIN)/python examples/training/color_pattern.py

backbones: $(DEV) ## train the small backbones of the baselines and their heads anew
	OMP_NUM_THREADS=1 $(BIN)/python examples/training/small_backbones.py
	$(BIN)/python tests/baselines/baselines_renew_scores.py

pictures: $(DEV) ## draw the documents' pictures of boards and pages from the demo's runs (needs Chromium)
	$(BIN)/mimicry board runs/demo --competition hybrid --svg docs/images/board.svg > /dev/null
	$(BIN)/mimicry board runs/demo --competition blue --svg docs/images/board-blue.svg > /dev/null
	$(BIN)/python docs/pictures.py

UV_COMPILE = $(BIN)/uv pip compile --quiet --upgrade --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock"
# The images are for Linux; what they hold must be what a submission may ask for.
IMAGE_COMPILE = $(UV_COMPILE) --python-platform x86_64-manylinux_2_28 -c ingestion_program/allowed_packages.txt

lock: $(DEV) ## renew the lock files
	$(UV_COMPILE) --universal requirements/core.in -o requirements/core.txt
	@mkdir -p build
	$(UV_COMPILE) --universal -c requirements/core.txt requirements/models.in -o build/models-gpu.txt
	$(BIN)/python requirements/models_lock.py < build/models-gpu.txt > requirements/models.txt
	$(UV_COMPILE) --universal requirements/dev.in -o requirements/dev.txt
	$(IMAGE_COMPILE) requirements/image-core.in -o requirements/image-core.txt
	$(IMAGE_COMPILE) -c requirements/image-core.txt requirements/image-torch.in -o requirements/image-torch-gpu.txt
	$(BIN)/python docker/cpu_lock.py

clean: ## remove everything that make and the demo generated, and nothing else
	@python=$(BIN)/python; [ -x $$python ] || python=$(PYTHON); \
	  $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Removing the demo data needs Python 3.11 or newer. Try: make PYTHON=python3.12 clean" >&2; exit 1; }; \
	  PYTHONPATH=src $$python -B -m mimicry.demo.cleaning
	rm -rf $(VENV) dist build runs/demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@rmdir runs 2>/dev/null || true
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
