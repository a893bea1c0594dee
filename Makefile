# Everything here needs only python3 (with venv and pip), make and git.
# Another interpreter: make test PYTHON=python3.12

PYTHON ?= python3
ENV := $(PYTHON) dev/env.py

.DEFAULT_GOAL := help

.PHONY: help
help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9.-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: test
test:  ## all tests, on the newest Airflow
	@$(ENV) 3.3
	@.venv/bin/python -m pytest
