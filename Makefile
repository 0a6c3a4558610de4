# Each target sets up what it needs; `make` alone lists them.
SHELL := /bin/bash
BIN := .venv/bin
ARGS ?=
WORKERS ?= 4 # of pytest, on two cores: half of what tests do is to wait
# Whole files, and in our order (tests/conftest.py), not by how many tests they have: the longest have few.
PARALLEL = --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder
unexport PYTHONDONTWRITEBYTECODE # collecting the tests takes a third of the time where they are compiled already
.DEFAULT_GOAL := help
.PHONY: help setup demo test check fix unit lock openapi screenshots chaos fuzz slow bench bench-registry bench-listing bench-console bench-prebuild bench-helper bench-doctor clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install everything that demo and tests need
	@dev/setup test

demo: ## Show Berth at work: registry, organization, codespace from a private image (ARGS=... for options)
	@dev/setup demo
	@$(BIN)/berth demo $(ARGS)

test: check ## All checks, and all tests but the slow ones (ARGS=... for pytest)
	$(BIN)/pytest $(PARALLEL) -m "not slow" $(ARGS)

slow: ## What `make test` leaves out: one more way of what another test shows, and examples of properties that nobody chose (minutes)
	@dev/setup test
	BERTH_TEST_DICE=1 $(BIN)/pytest $(PARALLEL) -m "slow or hypothesis" $(ARGS)

check: ## Format, lint and types
	@dev/setup test
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	@$(BIN)/pytest --collect-only --quiet > /dev/null & $(BIN)/mypy && wait # the tests are compiled once, not by each worker

fix: ## Format, and repair what ruff can
	@dev/setup test
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

unit: ## The domain's tests only: seconds
	@dev/setup test
	$(BIN)/pytest tests/domain $(ARGS)

openapi: ## Write what is taken from the description that GitHub publishes anew (after a new route of theirs)
	@dev/setup test
	$(BIN)/python dev/github_description.py

screenshots: ## Write docs/screenshots anew: every page in light, dark and on a phone (ARGS="tokens sessions" for some)
	@dev/setup test
	$(BIN)/python dev/screenshots.py $(ARGS)

lock: ## Write constraints.txt and package-lock.json anew (ARGS=--upgrade takes newest versions)
	python3 -m venv .cache/lock
	.cache/lock/bin/pip install --quiet uv
	.cache/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --extra dev \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links $(ARGS) --output-file constraints.txt pyproject.toml
	@dev/setup demo
	$(BIN)/node $(BIN)/npm install --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved --lockfile-version 3 --no-audit --no-fund
	$(BIN)/node dev/strip-lock.mjs
	@! grep -nE '://|"resolved"' constraints.txt package-lock.json || { echo "an address got into the lock files"; exit 1; }

chaos: ## Kill servers, engine and database while 60 codespaces change, and servers while images come (a quarter of an hour; ROUNDS=1)
	@dev/setup test
	for round in $$(seq $${ROUNDS:-1}); do \
	  BERTH_CHAOS_CODESPACES=$${CODESPACES:-60} BERTH_CHAOS_REQUESTS=$${REQUESTS:-200} BERTH_CHAOS_FAULTS=$${FAULTS:-30} \
	  BERTH_TEST_DICE=1 BERTH_CHAOS_PAUSE_S=4 BERTH_CHAOS_WITHIN_S=$${WITHIN:-10} BERTH_CHAOS_KILLS=$${KILLS:-25} \
	  $(BIN)/pytest -s tests/chaos $(ARGS) || exit 1; done

fuzz: ## Send the REST API what its description allows and what it does not, for MINUTES (10) on both databases
	@dev/setup test
	BERTH_TEST_DICE=1 BERTH_FUZZ_S=$$(( $${MINUTES:-10} * 30 )) $(BIN)/pytest -s tests/rest/test_fuzz.py $(ARGS)

bench: ## Measure all that has a bar, beside what it is compared with (minutes)
	@dev/setup test
	$(BIN)/python bench/run.py $(ARGS)

bench-registry: ## Measure the built-in registry beside CNCF distribution (minutes; ARGS=--help for options)
	@dev/setup test
	$(BIN)/python bench/registry.py $(ARGS)

bench-listing: ## Measure pages of 30 items beside pages of one, on both databases (minutes; ARGS=--help for options)
	@dev/setup test
	$(BIN)/python bench/listing.py $(ARGS)

bench-console: ## Measure every page of the console with 10 000 packages and 1 000 codespaces (a minute; ARGS=--help for options)
	@dev/setup test
	$(BIN)/python bench/console.py $(ARGS)

bench-prebuild: ## Measure a launch from a prebuild beside one that builds (a minute; ARGS="--rounds 5")
	@dev/setup test
	$(BIN)/python bench/prebuild.py $(ARGS)

bench-helper: ## Measure docker-credential-berth beside a bare Python and Debian's helper for ECR (a minute; ARGS="--rounds 50")
	@dev/setup test
	$(BIN)/python bench/helper.py $(ARGS)

bench-doctor: ## Measure a diagnosis of a good image, and the longest that one can take (two minutes; ARGS="--rounds 50")
	@dev/setup test
	$(BIN)/python bench/doctor.py $(ARGS)

clean: ## Remove everything that was made here
	rm -rf .venv node_modules .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov
