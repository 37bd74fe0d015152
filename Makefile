# One environment for everything: make VENV=/elsewhere uses another one.
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: run test check check-compiled format docs clean

$(BIN)/pytest:
	python3 -m venv $(VENV)
	$(BIN)/pip install -q -e '.[dev,load]'

run: $(BIN)/pytest
	$(BIN)/python -m wsprism --config config/wsprism.yaml

test: $(BIN)/pytest
	$(BIN)/python -m pytest

# What CI runs.
check: $(BIN)/pytest
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --cov --cov-report=
	$(BIN)/coverage report
	$(BIN)/coverage report --include='actors/*,qos/*,wsprism/protocol/*,wsprism/policy/*' --fail-under=95

# The tests on the compiled install, in an environment of its own; needs a C compiler.
check-compiled:
	.ci/check-compiled

format: $(BIN)/pytest
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(BIN)/pytest
	$(BIN)/python -m wsprism.settings.reference

clean:
	rm -rf $(VENV) build *.egg-info .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
