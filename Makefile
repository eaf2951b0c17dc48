# Every target runs commands that you could type yourself. `make help` lists the targets.
PYTHON ?= python3
READER ?= params
FUZZ_SECONDS ?= 600

# Exported, since DVC runs stages in it; the shell of a service account may not start.
export SHELL := bash
.SHELLFLAGS := -o pipefail -c
# The stages of dvc.yaml call `python` and mean the one with the locked dependencies.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.DEFAULT_GOAL := repro
.PHONY: help repro compare report card verify rerun retrain published check test lint format fuzz \
	mutants unlocked audit lock

help: ## list these targets
	@awk -F ':.*## |^##@ ' '/^##@/ { print "\n" $$2 } /^[a-z]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' Makefile

##@ The pipeline (a plain `make` is `make repro`)
repro: .venv/installed ## install, run the stages that changed, print the accuracy and the page of plots
	.venv/bin/dvc repro
	@.venv/bin/python -m review result
	@.venv/bin/dvc plots show --out dvc_plots
	@echo "Next: change params.yaml, run make, then make compare. make help lists the rest."

retrain: .venv/installed ## train on new images of the inbox and propose the model if it is no worse
	.venv/bin/python -m retraining

published: .venv/installed ## train and score the published systems (an hour on 2 cores), or SYSTEM alone
	.venv/bin/dvc repro download
	cd published && ../.venv/bin/dvc repro $(SYSTEM:%=evaluate@%)

##@ Review (make exits with 2 on any failure; `python -m review` exits with 0, 1 or 2)
compare: .venv/installed-review ## is the working tree better than BASE? (default: where it left main)
	.venv/bin/python -m review compare $(BASE)

report: .venv/installed-review ## the same as report.html, with charts and the images that changed
	.venv/bin/python -m review report $(BASE)

card: .venv/installed-review ## write metrics/model_card.md from the metrics
	.venv/bin/python -m review card

verify: .venv/installed ## check that code, parameters, dvc.lock and metrics are consistent
	.venv/bin/python -m review verify

rerun: .venv/installed ## run the commit again in a clone and compare every byte
	.venv/bin/python -m review verify --rerun

##@ Development
check: lint ## lint, types and the fast tests (about 5 minutes)
	.venv/bin/pytest -m "not slow" $(XDIST)

test: lint ## lint, types and all tests (more than half an hour)
	.venv/bin/pytest $(XDIST) --durations 20

# tests/conftest.py says which tests share a worker, and in which order they start.
XDIST := --numprocesses 2 --dist loadscope --no-loadscope-reorder

lint: .venv/installed-dev ## formatting, lint, types and the workflows
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/zizmor --offline --quiet --no-progress .github
	.venv/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

format: .venv/installed-dev ## format the code and fix what ruff can
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

fuzz: .venv/installed-dev ## search for input that READER (idx, csv or params) does not survive
	.venv/bin/python -m tests.fuzz $(READER) -max_total_time=$(FUZZ_SECONDS)

mutants: .venv/installed-dev ## list changes of the code that no test notices (docs/testing.md)
	.venv/bin/mutmut run --max-children 2
	.venv/bin/mutmut results

# In a clone, so that neither the environment nor the metrics of this folder change.
unlocked: ## does the pipeline work with the latest releases, by the rules of review?
	rm -rf .venv/unlocked
	$(PYTHON) -m venv .venv/unlocked
	.venv/unlocked/bin/pip install --quiet --upgrade pip
	.venv/unlocked/bin/pip install --quiet --group review .
	git clone --quiet . .venv/unlocked/clone
	cd .venv/unlocked/clone && PATH="$(CURDIR)/.venv/unlocked/bin:$$PATH" dvc repro dvc.yaml
	cd .venv/unlocked/clone && ../bin/python -m review compare HEAD

audit: .venv/installed-dev ## look up known vulnerabilities of the locked versions
	.venv/bin/pip-audit --strict --require-hashes --disable-pip --requirement requirements-dev.lock

COMPILE := .venv/bin/uv pip compile --quiet --upgrade
lock: .venv/installed-dev ## resolve the dependencies of pyproject.toml again
	$(COMPILE) pyproject.toml --extra s3 --output-file requirements-s3.lock
	$(COMPILE) pyproject.toml --constraint requirements-s3.lock --output-file requirements.lock
	$(COMPILE) pyproject.toml --extra cluster --constraint requirements-s3.lock --output-file requirements-cluster.lock
	$(COMPILE) --group review --constraint requirements-s3.lock --output-file requirements-review.lock
	$(COMPILE) pyproject.toml --extra s3 --extra cluster --extra dev --group review --constraint requirements-s3.lock --constraint requirements-review.lock --output-file requirements-dev.lock

# Prints a dot for each package that pip finds, then one every two seconds while pip unpacks them.
# (The bash of macOS ends the loop at the first silence; cat reads the rest.)
define install
	$(PYTHON) -m venv .venv
	@printf 'Installing $(filter %.lock,$^) '
	@.venv/bin/pip install --disable-pip-version-check --progress-bar off --require-hashes \
		$(patsubst %,--requirement %,$(filter %.lock,$^)) | { \
		while IFS= read -r -t 2 line || [ $$? -gt 128 ]; do \
			case "$$line" in Collecting*|'') printf .;; esac; done; cat >/dev/null; echo; }
	@touch $@
endef

.venv/installed: requirements.lock requirements-review.lock
	$(install)
	@touch .venv/installed-review

# For comparisons alone: neither TensorFlow nor DVC.
.venv/installed-review: requirements-review.lock
	$(install)

.venv/installed-s3: requirements-s3.lock .venv/installed
	$(install)

.venv/installed-cluster: requirements-cluster.lock .venv/installed
	$(install)

.venv/installed-dev: requirements-dev.lock .venv/installed
	$(install)
