# Two commands from a fresh clone:  make demo   (the paper's pipeline on synthetic scenes)
#                                   make test   (the whole test suite)
# Both create .venv and install the project when that is needed, and do nothing twice.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= demo

.PHONY: demo test lint docs mutants clean
.DEFAULT_GOAL := help
.PHONY: help
help:
	@echo "make demo     create .venv, install maskps, run the main job into demo/ (under 10 minutes on 2 cores)"
	@echo "make test     create .venv if it is missing, install maskps[dev], run the tests (with COVERAGE=1: line coverage)"
	@echo "make lint     ruff and mypy"
	@echo "make docs     build the documentation with the API reference into build/site"
	@echo "make mutants  break 200 operators, one at a time, and see whether the tests notice"
	@echo "make clean    remove .venv, demo/ and the caches"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "maskps needs Python 3.11 or newer; '$(PYTHON)' is `$(PYTHON) --version 2>&1`. Try: make PYTHON=python3.11 ..."; exit 1; }
	@echo "== creating $(VENV)"
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo "== installing maskps (PyTorch is about 5 GB; a few minutes the first time)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	@echo "== installing maskps[dev] (PyTorch is about 5 GB; a few minutes the first time)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/.installed

demo: $(VENV)/.installed
	@echo "== running the main job: scenes -> mask subset -> Table 1 -> trained network -> mAP"
	$(BIN)/maskps demo --out $(OUT) --force

test: $(VENV)/.installed-dev
	@echo "== running the tests"
	$(BIN)/python -m pytest -n 2 $(if $(COVERAGE),--cov --cov-report=term)

mutants: $(VENV)/.installed-dev
	@echo "== breaking 200 operators, one at a time (up to an hour; an interrupted run resumes)"
	$(BIN)/python tests/mutants.py --count 200

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.installed-dev
	@echo "== building the documentation"
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --config-file docs/site/mkdocs.yml
	@echo "== open build/site/index.html; its search needs a server: $(PYTHON) -m http.server -d build/site"

clean:
	rm -rf $(VENV) demo build dist .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis
