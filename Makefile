# Every recipe is a command that a person could type.
PYTHON ?= python3

# The stages of dvc.yaml say `python` and mean the one that has the locked dependencies.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.DEFAULT_GOAL := repro
.PHONY: repro test lint format lock

repro: .venv/installed # run the pipeline, then say what it reached, beside what is committed
	.venv/bin/dvc repro
	.venv/bin/dvc metrics diff --all --no-path --targets metrics/train.json metrics/evaluate.json
	.venv/bin/dvc plots show --out dvc_plots

test: lint # lint, types and all tests
	.venv/bin/pytest

lint: .venv/installed-dev
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

format: .venv/installed-dev
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

lock: .venv/installed-dev # resolve the dependencies of pyproject.toml anew
	.venv/bin/uv pip compile --quiet --upgrade pyproject.toml --output-file requirements.lock
	.venv/bin/uv pip compile --quiet --upgrade pyproject.toml --extra dev --constraint requirements.lock --output-file requirements-dev.lock

.venv/installed: requirements.lock
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --require-hashes --requirement requirements.lock
	touch $@

.venv/installed-dev: .venv/installed requirements-dev.lock
	.venv/bin/pip install --quiet --require-hashes --requirement requirements-dev.lock
	touch $@
