# `make` alone lists the commands. PYTHON makes .venv and counts only then: `make clean` before another one.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python --constraint requirements.lock
RUN := $(VENV)/.ready-to-run
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help run compose lint test conformance clients install lock clean

help: ## list these commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

run: $(ON) $(RUN) ## the app on http://localhost:7071 with an embedded Valkey and a local Service Bus (ARGS="--help" for more; ON=compose: in Docker)
	@$(BIN)/python -m lab up $(PARTS_$(ON)) $(ARGS)

# make run ON=compose: with the containers of docker-compose.yml in place of the lab's own Redis and Service Bus.
PARTS_compose := --redis redis://127.0.0.1:6379/0 --service-bus "Endpoint=sb://127.0.0.1;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;"

compose:
	@test "$(ACCEPT_EULA)" = Y || { echo "Read the licences of Microsoft's Service Bus emulator and of SQL Server, then: make run ON=compose ACCEPT_EULA=Y"; exit 1; }
	@docker compose version >/dev/null 2>&1 || { echo "ON=compose needs Docker with Compose 2; without Docker: make run"; exit 1; }
	docker compose up --detach --wait
	curl --noproxy "*" --silent --show-error --fail --output /dev/null --retry 120 --retry-delay 2 --retry-all-errors http://127.0.0.1:5300/health

lint: $(READY) ## style, imports, types and workflows
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/mypy
	$(BIN)/zizmor --offline --quiet --strict-collection .github

test: export REQUIRE_EVERYTHING = 1
test: export PYTHONDONTWRITEBYTECODE = # every worker and every `python -m lab` would compile everything again
# A replaced worker would be given the test that ended it (its time-out does) again, or wait for ever for a second one.
test: lint ## lint, types and every test (6 minutes on two cores)
	$(BIN)/python -m pytest -q -n auto --max-worker-restart 0 --dist loadfile --no-loadscope-reorder $(ARGS)

conformance: $(READY) ## redis-py's own tests on the session: oldest, pinned and newest version, two servers and a cluster, two protocols (ARGS="--help" for fewer)
	$(BIN)/python -m tests.conformance $(ARGS)

clients: $(READY) ## every queue operation of the local Service Bus, on azure-servicebus 7.11 to 7.15 and @azure/service-bus
	@$(BIN)/python -m tests.clients

install: $(READY) ## only the environment, in .venv (run and test do it too)

lock: $(READY) ## write requirements.lock from requirements.txt and the groups of pyproject.toml
	$(BIN)/uv pip compile --no-config --quiet --universal --python-version 3.11 requirements.txt --group dev --group load -o requirements.lock $(ARGS)

clean: ## remove .venv and what the lab left behind
	rm -rf $(VENV) .lab build .mypy_cache .ruff_cache .pytest_cache .hypothesis .schemathesis

# uv installs a hundred packages in the time that pip takes for ten.
$(BIN)/uv:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not on PATH: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 " + "$(MAKECMDGOALS)")'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "$(PYTHON) has no ensurepip: apt install python3-venv, or make PYTHON=/path/to/another"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock uv

$(RUN): requirements.txt requirements.lock pyproject.toml | $(BIN)/uv
	@echo "Installing what the app and the lab need into $(VENV) (some ten seconds, once) ..."
	@$(UV) -r requirements.txt --group lab
	@touch $@

$(READY): $(RUN)
	@echo "Installing what the tests need into $(VENV) (half a minute, once) ..."
	@$(UV) -r requirements.txt --group dev
	@touch $@

-include lab/proof/verbs.mk
