# Everything here needs only make, git and a python3 that has venv and pip; the rest is installed into folders of this checkout.
# Another interpreter:        make test PYTHON=python3.12
# Arguments for pytest:       make test ARGS="tests/api -x"
# The service's generation:   make demo BATCH_API=v2     (v1 by default: it shows its tiles)
# A port for the web page:    make demo-ui PORT=8080     (a free one by default)
# Another Airflow to kill:    make test-chaos AIRFLOW=2.11
# Pages of another Airflow:   make test-browser AIRFLOW=3.1
# Cells of the matrix:        make test-matrix CELLS="3.1 3.2:examples" PYTHONS="python3.10 python3.12"
# All tests but some:         make test-2.11 WITHOUT=tests/chaos
# Every case, and what is slow: make test THOROUGH=yes
# Few cases of each test:     make test-2.11 CASES=2

PYTHON ?= python3
BATCH_API ?= v1
PORT ?= 0
ARGS ?=
WITHOUT ?=
THOROUGH ?= no
CASES ?=
CELLS ?=
PYTHONS ?=
UPGRADE ?=
AIRFLOW ?= 3.3
FOLDER_3.3 := .venv
FOLDER_3.1 := .venv-3.1
FOLDER_3.0 := .venv-3.0
FOLDER_2.11 := .venv-2.11

ENV := $(PYTHON) dev/env.py
# All tests, with Airflow's processes beside the others; what ARGS names is run by one process, as pytest does.
TESTS = $(if $(ARGS),-m pytest $(ARGS),-m dev.tests $(addprefix --without=,$(WITHOUT)) $(if $(filter yes,$(THOROUGH)),--thorough) $(addprefix --cases=,$(CASES)))
EVERY_CORE = -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder
FAST = $(if $(ARGS),$(ARGS),--cases 1 $(addprefix --ignore=tests/,chaos e2e browser forms witness) $(EVERY_CORE))

# Many images set it. Then each of the processes that the tests start would compile the package and its tests anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help

.PHONY: help demo demo-ui ui test-browser test test-fast test-2.11 test-3.0 test-matrix e2e test-chaos test-orders matrix bench docs dist lint types format hooks constraints clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9.-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo:  ## watch a batch job go through its life on a real Airflow, against the simulator
	@$(ENV) 3.3
	@.venv/bin/python -m dev.demo --batch-api $(BATCH_API)

demo-ui:  ## the same in Airflow's own web page, until Ctrl-C
	@$(ENV) 3.3
	@.venv/bin/python -m dev.demo --ui --batch-api $(BATCH_API) --port $(PORT)

ui:  ## build the frontend of the pages (ui/) into the package; needs node and npm
	@cd ui && npm ci --silent && npm run --silent types && npm run --silent build

test-browser:  ## pages and form of the connection in a real browser, in a real Airflow (AIRFLOW=3.1: that one); needs a Chromium
	@$(ENV) $(AIRFLOW)
	@$(FOLDER_$(AIRFLOW))/bin/python -m pytest -m browser tests/browser tests/forms $(ARGS)

test:  ## every test, on the newest Airflow (3.3), in ten minutes; THOROUGH=yes: every case, and what takes long, as CI does
	@$(ENV) 3.3
	@.venv/bin/python $(TESTS)

test-fast:  ## one case of each test that is quick and starts neither an Airflow nor the vendor's client (ARGS=...: all of what that names)
	@$(ENV) 3.3
	@.venv/bin/python -m pytest -m "not e2e and not chaos and not dag_test and not slow and not thorough and not browser" $(FAST)

test-2.11:  ## the same on Airflow 2.11
	@$(ENV) 2.11
	@.venv-2.11/bin/python $(TESTS)

test-3.0:  ## the same on Airflow 3.0
	@$(ENV) 3.0
	@.venv-3.0/bin/python $(TESTS)

test-matrix:  ## the fast tests and the example DAGs on every Airflow, side by side; CELLS and PYTHONS choose; takes long
	@$(PYTHON) -m dev.matrix $(addprefix --python=,$(PYTHONS)) $(CELLS)

e2e:  ## only the tests on a real Airflow
	@$(ENV) 3.3
	@.venv/bin/python -m pytest -m "e2e and not chaos" $(ARGS)

test-chaos:  ## kill every process at every step of a job's life, and more; AIRFLOW=3.0 on another one; takes long
	@$(ENV) $(AIRFLOW)
	@$(FOLDER_$(AIRFLOW))/bin/python -m pytest tests/chaos -m "chaos or e2e" --keep-matrix $(ARGS)

test-orders:  ## let copies of a task run in random orders that no run has tried before, some thousands; takes minutes
	@$(ENV) 3.3
	@.venv/bin/python -m pytest tests/api -m chaos -n 2 $(ARGS)

matrix:  ## write what came of test-chaos into docs/what-happens-when.md
	@$(ENV) 3.3
	@.venv/bin/python -m tests.chaos.matrix

bench:  ## measure what waiting costs beside other ways to wait, and write docs/at-scale.md; takes minutes
	@$(ENV) 3.3
	@.venv/bin/python -m dev.bench $(ARGS)

docs:  ## build the site of docs/ in build/docs; a warning is an error
	@$(ENV) 3.3
	@.venv/bin/python -m sphinx --fail-on-warning --keep-going --quiet --builder html docs build/docs
	@echo build/docs/index.html

dist:  ## build wheel and sdist in dist/, and check what the package index will show of them
	@$(ENV) 3.3
	@rm -rf dist
	@.venv-uv/bin/uv build --out-dir dist
	@.venv/bin/python -m twine check --strict dist/*

lint:  ## ruff: lint and format
	@$(ENV) 3.3
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check

types:  ## mypy --strict on the package, and what users get from it and from pyright
	@$(ENV) 3.3
	@.venv/bin/mypy
	@.venv/bin/python -m dev.checkers

format:  ## put the code into shape
	@$(ENV) 3.3
	@.venv/bin/ruff check --fix
	@.venv/bin/ruff format

hooks:  ## let git run lint and types before every commit
	@$(ENV) 3.3
	@.venv/bin/pre-commit install

constraints:  ## add to constraints/ what pyproject.toml asks for; UPGRADE=1 chooses all versions anew
	@$(ENV) constraints $(if $(UPGRADE),--upgrade)

clean:  ## remove the environments and what the tools left behind
	rm -rf .venv .venv-* .venv.lock .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
