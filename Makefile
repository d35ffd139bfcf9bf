# `make` alone lists the verbs. PYTHON makes .venv and counts only then: `make clean` before another one.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PROOF := docs/proof

.DEFAULT_GOAL := help
.PHONY: help run test prove smoke install lock clean

help: ## list the verbs
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

run: $(READY) ## the app on http://localhost:7071 with an embedded Valkey and a local Service Bus (ARGS="--help" for more)
	@$(BIN)/python -m lab up $(ARGS)

test: $(READY) ## lint, types and every test, in at most 8 minutes
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
	$(BIN)/python -m pytest -q -n 3 --dist loadfile $(ARGS)

prove: $(READY) ## everything at full length, with what it counted in docs/proof (more than an hour)
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
	HYPOTHESIS_PROFILE=prove $(BIN)/python -m pytest -q --timeout 3600 $(ARGS)
	$(BIN)/python -m lab spike --json $(PROOF)/spike.json --report $(PROOF)/spike
	$(BIN)/python -m lab spike --stock 5000 --json $(PROOF)/spike-stock-5000.json
	$(BIN)/python -m lab compare --json $(PROOF)/compare.json --report $(PROOF)/compare
	$(BIN)/python -m lab faults --json $(PROOF)/faults.json --report $(PROOF)/faults
	$(BIN)/python -m lab faults --full --json $(PROOF)/faults-full.json
	$(BIN)/python -m lab session-faults --json $(PROOF)/session-faults.json
	$(BIN)/python -m lab session-fleet --json $(PROOF)/session-fleet.json
	$(BIN)/python -m lab bench --json $(PROOF)/bench.json

smoke: export FUNCTIONS_KEY = $(KEY)
smoke: $(READY) ## the README's walk-through against a deployed app: URL=https://... KEY=... (see docs/deploy.md)
	@$(BIN)/python -m tests.e2e.smoke $(URL) $(if $(NAMESPACE),--namespace $(NAMESPACE))

install: $(READY) ## only the environment, in .venv (run and test do it too)

lock: $(READY) ## write requirements-dev.lock anew from requirements-dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --upgrade requirements-dev.txt -o requirements-dev.lock

clean: ## remove .venv and what the lab left behind
	rm -rf $(VENV) .lab build .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(READY): requirements-dev.lock
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not on PATH: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 " + "$(MAKECMDGOALS)")'
	@echo "Installing into $(VENV) (a minute or two, once) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.lock
	@touch $(READY)
