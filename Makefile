# Needs make and python3 (3.11 or newer) alone; scripts/bootstrap.py brings the rest.
PYTHON ?= python3
NAME ?=
ARGS ?=

.PHONY: demo test check format bench bench-peers clean

## The whole system on this machine with a simulated typhoon night: addresses and logins are printed. Ctrl-C ends it.
demo:
	@$(PYTHON) scripts/bootstrap.py
	@exec .venv/bin/citybrain up --demo $(ARGS)

## Everything that is tested: linters, types, unit, integration, acceptance, browser. As root it installs what it needs.
test:
	@exec $(PYTHON) scripts/test.py $(ARGS)

## Linters and types alone.
check:
	@exec $(PYTHON) scripts/test.py --check

format:
	@$(PYTHON) scripts/bootstrap.py --test --python-only
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

## make bench NAME=alarm_latency
bench:
	@test -n "$(NAME)" || { echo "which one? make bench NAME=..., one of:"; ls benchmarks/*.py; exit 2; }
	@$(PYTHON) scripts/bootstrap.py
	@exec .venv/bin/python -m benchmarks.$(NAME) $(ARGS)

## The engines and clients that benchmarks compare us with, in an environment of their own.
bench-peers:
	@$(PYTHON) scripts/bootstrap.py --env bench

## What was installed and built; the data in var/ stays.
clean:
	rm -rf .venv .venv-* web/node_modules web/dist test-artifacts .mypy_cache .ruff_cache .pytest_cache .hypothesis
