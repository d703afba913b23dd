# `make help` lists what there is. Everything works with Python 3.11 or newer and nothing else.
.PHONY: help setup setup-dev run test test-long test-live check bench bench-stream bench-ledger bench-usage bench-limiter crash-points bench-page chaos busy-provider
.DEFAULT_GOAL := help
SHELL := /bin/sh

PYTHON ?= $(shell command -v python3 || command -v python3.13 || command -v python3.12 || command -v python3.11 || command -v python)
VENV_PYTHON := .venv/bin/python
REPORTS := build/reports
ARGS ?=
# Tests start hundreds of processes: none of them is to compile everything anew.
test test-long crash-points chaos: export PYTHONDONTWRITEBYTECODE =

help: ## this list
	@echo "Chatsite: make TARGET"; echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)$$/  \1|\2/p' Makefile | awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'
	@echo; echo "  run takes PORT (8000), HOST (127.0.0.1), CHATSITE_DATA_DIR (./data), CHATSITE_ADMIN_PASSWORD"
	@echo "  tests take ARGS, for instance: make test ARGS='-k budget'"

setup: ## make the environment and the browser bundle
	@test -n "$(PYTHON)" || { echo "Chatsite needs Python 3.11 or newer, and no python3 was found. Install one first."; exit 1; }
	@$(PYTHON) chatsite/launcher/start.py

setup-dev: ## the same, with what tests and checks need
	@test -n "$(PYTHON)" || { echo "Chatsite needs Python 3.11 or newer, and no python3 was found. Install one first."; exit 1; }
	@$(PYTHON) chatsite/launcher/start.py --dev

run: setup ## start the site; Ctrl-C stops it
	@exec $(VENV_PYTHON) -m chatsite.launcher

test: setup-dev ## the whole suite, with the coverage gate
	@mkdir -p $(REPORTS)
	@$(VENV_PYTHON) -m coverage erase
	@$(VENV_PYTHON) -m coverage run -m pytest -n auto --dist worksteal --junitxml=$(REPORTS)/junit.xml --counts=$(REPORTS)/counts.json $(ARGS)
	@$(VENV_PYTHON) -m coverage combine -q
	@$(VENV_PYTHON) -m coverage json -q -o $(REPORTS)/coverage.json
	@$(VENV_PYTHON) -m tests.coverage_gate $(REPORTS)/coverage.json

test-long: setup-dev ## the suite with the long tests and many more random examples
	@HYPOTHESIS_PROFILE=long $(VENV_PYTHON) -m pytest -n auto --dist worksteal --long $(ARGS)

test-live: setup-dev ## the provider tests against real providers, where a key is set
	@CHATSITE_LIVE=1 $(VENV_PYTHON) -m pytest --live -m live $(ARGS)

check: setup-dev ## style, types, import layers, migrations, deployment settings
	@$(VENV_PYTHON) -m tests.checks

bench: bench-stream bench-ledger bench-usage bench-limiter bench-page ## all benchmarks

bench-stream: setup-dev ## added time per token at 100 streams, beside a bare relay
	@$(VENV_PYTHON) -m tests.bench.stream $(ARGS)

bench-ledger: setup-dev ## calls held and settled per second, beside bare SQL, on SQLite and PostgreSQL
	@$(VENV_PYTHON) -m tests.bench.ledger $(ARGS)
	@$(VENV_PYTHON) -m tests.postgres $(VENV_PYTHON) -m tests.bench.ledger $(ARGS)

bench-usage: setup-dev ## pages, REST and holds beside 10 million entries on PostgreSQL, 1 million on SQLite
	@$(VENV_PYTHON) -m tests.bench.usage $(ARGS)
	@$(VENV_PYTHON) -m tests.postgres $(VENV_PYTHON) -m tests.bench.usage $(ARGS)

bench-limiter: setup-dev ## 200 turns at once against a provider of 60 requests a minute; four minutes
	@$(VENV_PYTHON) -m tests.bench.limiter $(ARGS)

bench-page: setup-dev ## the long answer, the first word, the long conversation and the first page in Chromium
	@$(VENV_PYTHON) -m tests.bench.page $(ARGS)

crash-points: setup-dev ## SIGKILL at each named point of an answer's life, on SQLite and PostgreSQL
	@$(VENV_PYTHON) -m tests.chaos crash-points $(ARGS)
	@$(VENV_PYTHON) -m tests.postgres $(VENV_PYTHON) -m tests.chaos crash-points $(ARGS)

chaos: setup-dev ## kills, restarts, lost messages and cut sockets while people ask, on PostgreSQL
	@$(VENV_PYTHON) -m tests.chaos storm $(ARGS)

busy-provider: setup-dev ## 300 questions to a provider that refuses a fifth of all calls
	@$(VENV_PYTHON) -m tests.chaos busy $(ARGS)
