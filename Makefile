# Every recipe is a command that a person could type.
PYTHON ?= python3
READER ?= params
FUZZ_SECONDS ?= 600

# The stages of dvc.yaml say `python` and mean the one that has the locked dependencies.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.DEFAULT_GOAL := repro
.PHONY: repro compare report retrain test lint format rerun unlocked fuzz mutants audit lock

repro: .venv/installed # run the pipeline, then say what it reached, beside what is committed
	.venv/bin/dvc repro
	.venv/bin/dvc metrics diff --all --no-path --targets metrics/train.json metrics/evaluate.json
	.venv/bin/dvc plots show --out dvc_plots

compare: .venv/installed-review # is the working tree better than BASE? (default: where it left main)
	.venv/bin/python -m review compare $(BASE)

report: .venv/installed-review # the same as report.html, with charts and pictures
	.venv/bin/python -m review report $(BASE)

retrain: .venv/installed .venv/installed-review # look for new batches, train on them, propose
	.venv/bin/python -m review retrain

test: lint # lint, types and all tests
	.venv/bin/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --durations 20

lint: .venv/installed-dev
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/zizmor --offline --quiet --no-progress .github
	.venv/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

format: .venv/installed-dev
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

rerun: .venv/installed .venv/installed-review # does the commit come out again, to the byte?
	.venv/bin/python -m review verify --rerun

# In a clone, so that neither the environment nor the metrics of this folder change.
unlocked: # does it still work with today's releases, and as well by the rules of review?
	rm -rf .venv/unlocked
	$(PYTHON) -m venv .venv/unlocked
	.venv/unlocked/bin/pip install --quiet --upgrade pip
	.venv/unlocked/bin/pip install --quiet --group review .
	git clone --quiet . .venv/unlocked/clone
	cd .venv/unlocked/clone && PATH="$(CURDIR)/.venv/unlocked/bin:$$PATH" dvc repro dvc.yaml
	cd .venv/unlocked/clone && ../bin/python -m review compare HEAD

fuzz: .venv/installed-dev # READER is idx, csv or params
	.venv/bin/python -m tests.fuzz $(READER) -max_total_time=$(FUZZ_SECONDS)

mutants: .venv/installed-dev # which changes of the code would the tests not notice? (docs/testing.md)
	.venv/bin/mutmut run --max-children 2
	.venv/bin/mutmut results

audit: .venv/installed-dev # known vulnerabilities of what is locked; it asks the network
	.venv/bin/pip-audit --strict --require-hashes --disable-pip --requirement requirements-dev.lock

lock: .venv/installed-dev # resolve the dependencies of pyproject.toml anew
	.venv/bin/uv pip compile --quiet --upgrade pyproject.toml --extra s3 --output-file requirements-s3.lock
	.venv/bin/uv pip compile --quiet --upgrade pyproject.toml --constraint requirements-s3.lock --output-file requirements.lock
	.venv/bin/uv pip compile --quiet --upgrade --group review --constraint requirements-s3.lock --output-file requirements-review.lock
	.venv/bin/uv pip compile --quiet --upgrade pyproject.toml --extra s3 --extra dev --group review --constraint requirements-s3.lock --constraint requirements-review.lock --output-file requirements-dev.lock

.venv/installed: requirements.lock
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --require-hashes --requirement requirements.lock
	touch $@

# Neither TensorFlow nor DVC.
.venv/installed-review: requirements-review.lock
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --require-hashes --requirement requirements-review.lock
	touch $@

.venv/installed-s3: .venv/installed requirements-s3.lock
	.venv/bin/pip install --quiet --require-hashes --requirement requirements-s3.lock
	touch $@

.venv/installed-dev: .venv/installed requirements-dev.lock
	.venv/bin/pip install --quiet --require-hashes --requirement requirements-dev.lock
	touch $@
