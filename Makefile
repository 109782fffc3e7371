# Everything a fresh machine needs: `make test`, `make demo`. Each sets itself up in .venv, once.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help test demo check fix lock clean

help:
	@echo "make test   install from the lock into .venv, run the tests"
	@echo "make demo   install telic with the embedded LM into .venv, compile a program with it, offline"
	@echo "make check  what CI runs: tests, format, lint, types, floors, sizes"
	@echo "make fix    repair format and lint where a tool can"
	@echo "make lock   write the lock files anew (needs uv)"

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n logical --maxprocesses 8 --dist worksteal

demo: $(VENV)/.run
	$(BIN)/telic demo

check:
	./.ci/run

fix: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# The stamps: one for what runs telic, one for what develops it (which includes the first).
$(VENV)/.dev: requirements-dev.lock pyproject.toml | $(BIN)/python
	$(PIP) install --require-hashes -r requirements-dev.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $(VENV)/.dev $(VENV)/.run

$(VENV)/.run: requirements.lock pyproject.toml | $(BIN)/python
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "telic needs Python 3.11 or later, and none is on the PATH." >&2; \
		echo "Install one, or name it: make $(or $(MAKECMDGOALS),test) PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "telic needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) --version 2>&1)." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

lock:
	uv pip compile --quiet pyproject.toml --extra tiny --extra serve --extra sandbox --extra retrieve \
		--extra documents --extra qdrant --extra parquet --group dev --universal --generate-hashes \
		--python-version 3.11 --no-annotate --custom-compile-command "make lock" -o requirements-dev.lock
	uv pip compile --quiet pyproject.toml --extra tiny --group build --universal --generate-hashes \
		--python-version 3.11 --no-annotate --custom-compile-command "make lock" \
		-c requirements-dev.lock -o requirements.lock

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache
