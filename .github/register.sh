#!/usr/bin/env bash
# After a merge: a version for the model of this commit, if it is another one than the last.
set -euo pipefail
make .venv/installed .venv/installed-review
# An annotated tag is somebody's.
git config user.name "github-actions[bot]"
git config user.email "41898282+github-actions[bot]@users.noreply.github.com"
.venv/bin/python -m review register
git push --quiet origin --tags
