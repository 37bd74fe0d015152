# One environment for everything: make VENV=/elsewhere uses another one.
VENV ?= .venv
BIN = $(VENV)/bin
# Tests at the same time: most wait more than they work, above all those with processes of their own. Those marked
# `alone` measure the machine, and come one by one.
JOBS ?= $(shell expr $$(nproc) \* 3 / 2)
JOBS_OF_PROCESSES ?= $(shell expr $$(nproc) \* 2)
PYTEST = $(BIN)/python -m pytest
SIDE_BY_SIDE = $(PYTEST) -n $(JOBS) --dist worksteal -m "not alone"

.PHONY: run test check static covered side-by-side alone cover check-compiled test-python format docs ui-sdk clean

$(BIN)/pytest:
	python3 -m venv $(VENV)
	$(BIN)/pip install -q -e '.[dev,load]'

run: $(BIN)/pytest
	$(BIN)/python -m wsprism --config config/wsprism.yaml

test: $(BIN)/pytest
	$(PYTEST)

# What CI runs.
check: static covered

static: $(BIN)/pytest
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy --strict --python-version 3.10 clients/python/wsprism_client
	$(BIN)/lint-imports

covered: side-by-side alone cover

# Watching which lines run doubles what a test costs: only those are watched whose cover is asked for, and none that
# measures.
side-by-side: $(BIN)/pytest
	$(SIDE_BY_SIDE) --cov --cov-report= tests/unit tests/property
	$(SIDE_BY_SIDE) -n $(JOBS_OF_PROCESSES) tests --ignore=tests/unit --ignore=tests/property

alone: $(BIN)/pytest
	$(PYTEST) -m alone

cover: $(BIN)/pytest
	$(BIN)/coverage report
	$(BIN)/coverage report --include='actors/*,qos/*,wsprism/protocol/*,wsprism/policy/*' --fail-under=95

# The tests on the compiled install, in an environment of its own; needs a C compiler.
check-compiled:
	.ci/check-compiled

# What CI runs on the other Pythons. The properties are tried on the first of the examples that one Python tries them on.
test-python: export WSPRISM_EXAMPLES ?= 0.3
test-python: $(BIN)/pytest
	$(SIDE_BY_SIDE) tests/unit tests/property tests/faults
	$(PYTEST) -m "alone and not any_python" tests/unit tests/property tests/faults

format: $(BIN)/pytest
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(BIN)/pytest
	$(BIN)/python -m wsprism.settings.reference

# The SDK as the dashboard serves it, after clients/js has changed; needs npm.
ui-sdk:
	cd clients/js && npm ci --no-audit --no-fund && npm run build
	rm -f wsprism/transport/ui/static/sdk/*.js
	cp clients/js/dist/*.js wsprism/transport/ui/static/sdk/

clean:
	rm -rf $(VENV) build *.egg-info .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
