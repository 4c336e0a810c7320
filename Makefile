# Each target sets up what it needs, and is quick when that is done.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo serve test check bench held faults docs lock clean

help: ## what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

demo: $(READY) ## a chain, a Stripe, a paid API and its buyers: the whole story, in one run
	@command -v curl >/dev/null || { apt-get update -q && apt-get install -qy curl; }
	@$(BIN)/python -m examples.demo

serve: $(READY) ## the same, left running: a server on port 4242, a chain, a Stripe, a Link
	@$(BIN)/python examples/serve.py

test: $(READY) ## every test, against real chains and real peers
	@$(BIN)/pytest -n 2 --dist loadfile --cov=coinslot --cov-report=term:skip-covered

check: $(READY) ## lint, format, types, and which room may import which
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright
	@$(BIN)/lint-imports --no-logo

bench: $(READY) ## how fast, beside the peers, in one run
	@command -v wrk >/dev/null || { apt-get update -q && apt-get install -qy wrk; }
	@$(BIN)/python bench/run.py

held: $(READY) ## how fast with a million payments held, in each ledger and cache
	@$(BIN)/python bench/held.py

faults: $(READY) ## kill the server some 500 times, at every step, and count the money; KILLS=50 for fewer
	@PYTHONPATH=tests $(BIN)/python -m faults

docs: $(VENV)-docs/.ready ## the documentation site, in site/
	@$(VENV)-docs/bin/zensical build --strict -f mkdocs.yml

lock: ## pin the newest of everything into requirements/dev.txt
	@rm -rf build/lock && $(PYTHON) -m venv build/lock
	@build/lock/bin/pip install -q -r requirements/dev.in '.[all]'
	@{ sed -n '1p' requirements/dev.txt; build/lock/bin/pip freeze | grep -v '^coinslot'; } > build/lock.txt
	@mv build/lock.txt requirements/dev.txt

clean: ## forget everything that was set up
	rm -rf $(VENV) $(VENV)-docs build site tests/peers/node_modules tests/peers/stripe/node_modules

$(VENV)-docs/.ready: requirements/docs.txt
	@$(PYTHON) -m venv $(VENV)-docs
	@$(VENV)-docs/bin/pip install -q --disable-pip-version-check -r requirements/docs.txt
	@touch $@

$(READY): pyproject.toml requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Coinslot needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	@echo "Setting up $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -q --disable-pip-version-check -r requirements/dev.txt
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@
