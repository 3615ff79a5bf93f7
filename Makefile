# Everything starts here. `make` lists the targets; each does the set-up it needs by itself.
# Needed beforehand: Python 3.11 or newer, make, and Debian's apt (root or not) or docker.

.DEFAULT_GOAL := help
SHELL := /bin/sh
.PHONY: help setup demo demo-correspondence demo-epgu demo-postamat demo-shep up down status test coverage lint bench chaos freeze check-docker lock clean

# The first interpreter that is new enough; override with `make PYTHON=python3.12 …`.
PYTHON ?= $(shell for candidate in python3 python3.13 python3.12 python3.11; do \
	$$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$candidate && break; \
	done)
BIN := .venv/bin
# Most tests wait for other processes: three sessions side by side, each with services of its own, the long ones first.
BESIDE ?= -n 3 --dist loadfile --no-loadscope-reorder
# Packages whose types are checked, beside what pyproject.toml names.
TYPED := -p adapter -p simulators -p deploy.local -p bench.chaos

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv with everything pinned, and the GOST engine; quick when it is there
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and none was found (tried python3, python3.11 to python3.13)."; exit 1; }
	@$(PYTHON) -m deploy.local.setup

demo: setup ## run the seed's examples from queue to queue, on real services, and compare the replies
	@$(BIN)/python -m deploy.local.commands demo

demo-correspondence: setup ## let a citizen and an agency write to each other through ЕПГУ; each step checks itself
	@$(BIN)/python -m deploy.local.commands demo-correspondence

demo-epgu: setup ## send applications to ЕПГУ, follow them to their result, and let things go wrong; each step checks itself
	@$(BIN)/python -m deploy.local.commands demo-epgu

demo-postamat: setup ## run постаматы in both modes, over queues and HTTP, and check each step
	@$(BIN)/python -m deploy.local.commands demo-postamat

demo-shep: setup ## call and be called through the ШЭП, in both contours, and check each step
	@$(BIN)/python -m deploy.local.commands demo-shep

up: setup ## start broker, database, signing service, simulator and adapter; write .local/upstream.env
	@$(BIN)/python -m deploy.local.commands up

down: ## stop exactly what `make up` started
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m deploy.local.commands down; else echo "Nothing is set up here."; fi

status: ## say what of the stack is running
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m deploy.local.commands status; else echo "Nothing is set up here."; fi

test: lint ## lint, types, import rules, then every test on a real broker and database
	@$(BIN)/python -m pytest --no-cov $(BESIDE)

coverage: setup ## the same tests, slower, with the coverage of every process
	@$(BIN)/python -m pytest --cov --cov-report=term $(BESIDE)

lint: setup ## ruff, mypy, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy $(TYPED)
	@$(BIN)/lint-imports

bench: setup ## run every benchmark; each prints one JSON line
	@found=0; for file in bench/[a-z]*.py; do [ -e "$$file" ] || continue; found=1; $(BIN)/python "$$file" || exit 1; done; \
	[ $$found = 1 ] || echo "There are no benchmarks yet: bench/ is empty."

chaos: setup ## run the long faults for half an hour at most; CHAOS_RUNS=nodes,backpressure,workers chooses runs
	@$(BIN)/python -m pytest -m long --no-cov tests/faults; long=$$?; $(BIN)/python -m bench.chaos && exit $$long

freeze: setup ## pack the committed adapter for the upgrade tests; once per release, REVISION=v0.1.0 names another commit
	@$(BIN)/python -m tests.migration.freeze $(REVISION)

check-docker: ## check docker-compose.yml, where docker compose is there
	@if docker compose version >/dev/null 2>&1; then docker compose config --quiet && echo "docker-compose.yml is valid."; \
	elif command -v docker-compose >/dev/null 2>&1; then docker-compose config --quiet && echo "docker-compose.yml is valid."; \
	else echo "Neither 'docker compose' nor 'docker-compose' is here, so docker-compose.yml was not checked."; fi

lock: ## renew requirements.lock and requirements-dev.lock from pyproject.toml
	@$(PYTHON) -m deploy.local.lock --upgrade

clean: ## stop the stack and remove .venv, .local and every cache
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m deploy.local.commands clean; fi
	@rm -rf .venv .local .coverage .coverage.* htmlcov build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
