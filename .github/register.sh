#!/usr/bin/env bash
# After a merge: gives the model of this commit a version, if it is new.
set -euo pipefail
make .venv/installed .venv/installed-review
# An annotated tag has an author.
git config user.name "github-actions[bot]"
git config user.email "41898282+github-actions[bot]@users.noreply.github.com"
.venv/bin/python -m retraining register
git push --quiet origin --tags
