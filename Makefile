.DEFAULT_GOAL := help
.SUFFIXES:
.DELETE_ON_ERROR:
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
SOURCES := reconciler rollout_client tests benchmarks $(wildcard scripts/*.py)
WORKFLOWS := $(wildcard .github/workflows/*.yml examples/github/*.yml)

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | sed -E 's/:.*## /\t/' | expand -t 16

.venv/bin/python:
	@echo "making the Python environment .venv …"
	@$(PYTHON) -m venv .venv

.venv/runtime: requirements.txt requirements-embedded.txt pyproject.toml rollout_client/pyproject.toml | .venv/bin/python
	@echo "installing the locked requirements into .venv; the first time takes about a minute …"
	@$(PIP) install --require-hashes --requirement requirements.txt --requirement requirements-embedded.txt
	@$(PIP) install --no-deps --no-build-isolation --editable rollout_client --editable .
	@touch $@

.venv/development: requirements-development.txt .venv/runtime
	@echo "installing the tools for development into .venv …"
	@$(PIP) install --require-hashes --requirement requirements-development.txt
	@touch $@

tests/javascript/node_modules: tests/javascript/package-lock.json
	@if command -v npm >/dev/null; then \
		npm ci --prefix tests/javascript --ignore-scripts --no-fund --no-audit --silent; \
	else \
		echo "npm is not installed; the tests of the JavaScript providers are skipped" >&2; \
	fi

.PHONY: demo
demo: .venv/runtime ## make a demo in build/demo with a day of jobs, show its status and the dashboard's address
	@PATH="$(CURDIR)/$(BIN):$$PATH" scripts/demo

.PHONY: test
test: .venv/development tests/javascript/node_modules ## run the whole test suite
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal -m "not nightly"

.PHONY: test-nightly
test-nightly: .venv/development tests/javascript/node_modules ## run every test, also those too slow for each change, and the quick benchmark
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal --nightly
	$(BIN)/python -m benchmarks --quick

.PHONY: test-oldest
test-oldest: .venv/development ## run the client with the lowest versions that it allows; needs the package index
	$(BIN)/python -m pytest --nightly tests/acceptance/test_distributions.py -k lowest_versions

.PHONY: test-cluster
test-cluster: .venv/development ## make faults in a real cluster of three Patroni; ROUNDS=200 for a night
	$(BIN)/python -m tests.cluster --rounds $(or $(ROUNDS),20)

.PHONY: bench
bench: .venv/development ## measure the promised performance, as ratios within one run
	$(BIN)/python -m benchmarks

.PHONY: bench-quick
bench-quick: .venv/development ## measure commands beside their floors with small sizes, in less than two minutes
	$(BIN)/python -m benchmarks --quick

.PHONY: lint
lint: .venv/development ## check format, style, types, layers, SQL, workflows and generated files
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive reconciler rollout_client scripts benchmarks
	$(BIN)/lint-imports
	$(BIN)/sqlfluff lint reconciler rollout_client
	$(BIN)/check-jsonschema --check-metaschema schemas/*.json
	$(BIN)/check-jsonschema --schemafile schemas/rollout.schema.json rollout.yaml
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows $(WORKFLOWS)
	$(BIN)/check-jsonschema --builtin-schema custom.github-workflows-require-timeout .github/workflows/*.yml
	$(BIN)/zizmor --offline --persona pedantic --quiet $(WORKFLOWS)
	$(BIN)/jactionlint --profile correctness --shellcheck= --pyflakes= $(WORKFLOWS)

.PHONY: format
format: .venv/development ## format the code
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

.PHONY: generate
generate: .venv/runtime ## generate the schemas and the reference pages
	$(BIN)/reconcile schema > schemas/rollout.schema.json
	$(BIN)/reconcile schema plan > schemas/plan.schema.json
	$(BIN)/reconcile schema notification > schemas/notification.schema.json
	PYTHONPATH=. $(BIN)/python scripts/reference.py
	PYTHONPATH=. $(BIN)/python scripts/diagrams.py

.PHONY: pictures
pictures: .venv/development ## draw the pictures of the README and of the dashboard from the program
	PYTHONPATH=. $(BIN)/python scripts/pictures.py
	PYTHONPATH=. $(BIN)/python scripts/dashboard_pictures.py

.PHONY: docs
docs: .venv/development ## build the documentation into build/docs; warnings are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

COMPILE := UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --universal --upgrade \
	--python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-package rollout-client

.PHONY: lock
lock: .venv/development ## resolve the dependencies again and pin them by hash
	$(COMPILE) pyproject.toml --group build --output-file requirements.txt
	$(COMPILE) --group embedded --output-file requirements-embedded.txt
	$(COMPILE) --group dashboard --constraint requirements.txt --output-file requirements-dashboard.txt
	$(COMPILE) pyproject.toml --all-extras --group development --output-file requirements-development.txt

.PHONY: clean
clean: ## stop the embedded database and remove built files (not the data in .reconcile)
	-test ! -x $(BIN)/reconcile || $(BIN)/reconcile db stop
	-test ! -d build/demo || $(BIN)/reconcile db stop --file build/demo/rollout.yaml
	rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
