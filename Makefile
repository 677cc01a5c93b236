# Every target does its own set-up; `make` alone lists them.
# Variables: PYTHON (3.11 or newer), WORKERS (parallel tests), ARGS (more arguments for pytest
# or the demo), KEEP=1 and KUBECONFIG (demo), SCHEDULES and SEED (simulate).

PYTHON ?= python3
WORKERS ?= 2
ARGS ?=
SCHEDULES ?= 100000
SEED ?= 0
BIN := .venv/bin
PYTEST = $(BIN)/python -m pytest -q --durations=5 --numprocesses=$(WORKERS)

# `make test` and `make test-long` are these, one after the other; each has 10 minutes at most.
FAST := test-unit test-contract test-integration test-simulation
LONG := test-slow test-e2e test-pair

# Debian keeps haproxy, keepalived and nft where ordinary accounts do not look.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin

.DEFAULT_GOAL := help
.PHONY: help setup system haproxy control-plane demo test test-long $(FAST) $(LONG) lint format bench crds lock ci clean clean-all simulate

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: ## make .venv from the locked requirements (done by every other target)
	@$(PYTHON) hack/bootstrap.py

system: ## install the Debian packages that tests use (asks for root or sudo only when one is missing)
	@$(PYTHON) hack/bootstrap.py --system

haproxy: setup
	@$(PYTHON) hack/bootstrap.py --haproxy

control-plane: setup ## get kube-apiserver, etcd and kubectl: found, downloaded or built (5 minutes, once)
	@$(BIN)/python hack/controlplane ensure >/dev/null

demo: setup haproxy ## show agents and operator at work on loopback; KEEP=1 leaves it running, KUBECONFIG=... uses that cluster
	@[ -n "$$KUBECONFIG" ] || $(BIN)/python hack/controlplane ensure >/dev/null
	@$(BIN)/python hack/demo $(ARGS)

test: system control-plane ## unit, contract, integration and short simulation tests
	@hack/steps $(FAST)

test-long: system control-plane ## what needs minutes or large downloads: slow-marked tests, end to end
	@hack/steps $(LONG)

# They mostly wait for processes of ours, so more of them than there are cores run side by side.
test-contract test-integration: WORKERS = 4
$(filter-out test-e2e,$(FAST)): test-%: system control-plane
	@hack/level "tests/$*" $(PYTEST) -m "not slow" $(ARGS) tests/$*

test-slow: system control-plane
	@hack/level tests $(PYTEST) -m slow --ignore=tests/e2e $(ARGS) tests

test-e2e: system control-plane
	@hack/level tests/e2e $(PYTEST) --ignore=tests/e2e/pair $(ARGS) tests/e2e

test-pair: system control-plane
	@hack/level tests/e2e/pair $(PYTEST) --dist=loadfile $(ARGS) tests/e2e/pair

lint: setup ## formatting, ruff, strict types, layers, and nothing in git that does not belong there
	@hack/lint

format: setup ## rewrite the code in the project's format
	@$(BIN)/ruff check --quiet --fix . ; $(BIN)/ruff format .

simulate: setup ## random schedules of an HA pair: SCHEDULES=100000 of them, from SEED=0 on
	@nice $(BIN)/python -m tests.simulation.ha --count $(SCHEDULES) --first $(SEED) --workers $(WORKERS)

bench: system control-plane ## measure; writes bench/results/*.json and prints tables
	@$(BIN)/python -m bench $(ARGS)

crds: setup ## write crds/ from the models
	@$(BIN)/python hack/write_crds.py

lock: setup ## renew requirements/*.lock within the limits of pyproject.toml and requirements/*.in
	@$(BIN)/python hack/lock.py

ci: ## what .ci/run does: lint, test, test-long, with the time of each step
	@hack/steps setup system control-plane lint $(FAST) $(LONG)

clean: ## remove .venv and what tools left in the tree
	rm -rf .venv .demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist bench/results
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

clean-all: clean ## as clean, and our cache with the control plane and uv
	rm -rf "$${XDG_CACHE_HOME:-$$HOME/.cache}/loadmaster-ha"
