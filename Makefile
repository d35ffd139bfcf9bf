# `make` alone lists the verbs. PYTHON makes .venv and counts only then: `make clean` before another one.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help run test prove fuzz smoke install lock clean

help: ## list the verbs
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

run: $(READY) ## the app on http://localhost:7071 with an embedded Valkey and a local Service Bus (ARGS="--help" for more)
	@$(BIN)/python -m lab up $(ARGS)

test: $(READY) ## lint, types and every test, in at most 8 minutes
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
	$(BIN)/python -m pytest -q -n 3 --dist loadfile $(ARGS)

prove: $(READY) ## everything at full length
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
	HYPOTHESIS_PROFILE=prove $(BIN)/python -m pytest -q --timeout 3600 $(ARGS)
	$(BIN)/python -m lab session-faults
	$(BIN)/python -m lab session-fleet
	$(BIN)/python -m lab bench

fuzz: export FUZZ_REQUESTS ?= 100000
fuzz: $(READY) ## 100,000 hostile requests over HTTP, 20,000 hostile messages, Schemathesis (FUZZ_REQUESTS=5000 for fewer)
	@$(BIN)/python -m pytest -v --timeout 3600 tests/fuzz tests/integration/app/test_hostile_messages.py $(ARGS)

smoke: export FUNCTIONS_KEY = $(KEY)
smoke: $(READY) ## the README's walk-through against a deployed app: URL=https://... KEY=... (see docs/deploy.md)
	@$(BIN)/python -m tests.e2e.smoke $(URL) $(if $(NAMESPACE),--namespace $(NAMESPACE))

install: $(READY) ## only the environment, in .venv (run and test do it too)

lock: $(READY) ## write requirements-dev.lock anew from requirements-dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --upgrade requirements-dev.txt -o requirements-dev.lock

clean: ## remove .venv and what the lab left behind
	rm -rf $(VENV) .lab build .mypy_cache .ruff_cache .pytest_cache .hypothesis .schemathesis

$(READY): requirements-dev.lock
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not on PATH: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 " + "$(MAKECMDGOALS)")'
	@echo "Installing into $(VENV) (a minute or two, once) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.lock
	@touch $(READY)
