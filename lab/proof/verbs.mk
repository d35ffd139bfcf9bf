# The verbs that prove the app with its own business: they go when lab/proof goes.
LOCUST := build/locust/bin/locust
PROOF := docs/proof
.PHONY: simulate prove fuzz smoke load

prove fuzz: export REQUIRE_EVERYTHING = 1
prove: export PYTHONDONTWRITEBYTECODE = # every worker would compile everything again

simulate: $(READY) ## the app in a simulated world, SEEDS=20000 of them, or SEED=n as a timeline (docs/simulation.md)
	@$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),2000)) $(ARGS)

prove: lint ## everything at full length, numbers and pictures into docs/proof, raw series into build/proof (more than an hour)
	HYPOTHESIS_PROFILE=prove $(BIN)/python -m pytest -q --timeout 3600 $(ARGS)
	mkdir -p build/proof
	$(BIN)/python -m lab spike --json build/proof/spike.json --report $(PROOF)/spike
	$(BIN)/python -m lab spike --stock 5000 --json build/proof/spike-stock-5000.json --report $(PROOF)/spike-stock-5000
	$(BIN)/python -m lab compare --json build/proof/compare.json --report $(PROOF)/compare
	$(BIN)/python -m lab compare --scenario all --json build/proof/scenarios.json --report $(PROOF)/scenarios
	$(BIN)/python -m lab faults --json build/proof/faults.json --report $(PROOF)/faults
	$(BIN)/python -m lab faults --full --json build/proof/faults-full.json --report $(PROOF)/faults-full
	$(BIN)/python -m lab faults --session --json build/proof/faults-session.json --report $(PROOF)/faults-session
	$(BIN)/python -m tests.simulation --seeds 50000 --report $(PROOF)/simulation
	$(BIN)/python -m tests.simulation --seeds 5000 --mutants --report $(PROOF)/simulation
	$(BIN)/python -m tests.simulation --fleet --report $(PROOF)/simulation
	$(BIN)/python -m lab bench --json build/proof/bench.json --report $(PROOF)/bench

fuzz: export FUZZ_REQUESTS ?= 100000
fuzz: $(READY) ## 100,000 hostile requests over HTTP, 20,000 hostile messages, Schemathesis (FUZZ_REQUESTS=5000 for fewer)
	@$(BIN)/python -m pytest -v --timeout 3600 tests/fuzz tests/integration/blueprints/test_hostile_messages.py $(ARGS)

smoke: export FUNCTIONS_KEY = $(KEY)
smoke: $(READY) ## the README's walk-through against a deployed app: URL=https://... KEY=... (see docs/deploy.md)
	@$(BIN)/python -m tests.e2e.smoke $(URL) $(if $(NAMESPACE),--namespace $(NAMESPACE))

load: export FUNCTIONS_KEY = $(KEY)
load: $(LOCUST) ## the spike with Locust, against an app that runs: URL=http://localhost:7071 KEY=... (see docs/testing-without-azure.md#func-start-microsofts-emulator-a-deployed-app)
	@PYTHONPATH=lab/tickets $(LOCUST) -f lab/proof/spike/locustfile.py --headless --users 200 --spawn-rate 200 --host $(or $(URL),http://localhost:7071) $(ARGS)

# Apart from .venv: Locust turns everything it shares a process with over to gevent, and brings 30 packages, Flask among them.
$(LOCUST): requirements.lock | $(BIN)/uv
	@$(PYTHON) -m venv build/locust
	@$(subst --python $(BIN),--python build/locust/bin,$(UV)) --no-config --group load
	@touch $@
