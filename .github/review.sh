#!/usr/bin/env bash
# Compares the working tree with the commit $1. Writes review_output/{comment.md,report.html} and the
# job's summary, if it has one; exits as `python -m review compare` does.
set -euo pipefail

mkdir -p review_output
code=0
.venv/bin/python -m review compare --md "$1" > review_output/comment.md || code=$?
cat review_output/comment.md >> "${GITHUB_STEP_SUMMARY:-/dev/stdout}"
if [ "$code" -ne 2 ]; then
  # Exits with the same code.
  .venv/bin/python -m review report "$1" --output review_output/report.html || [ $? -eq 1 ]
fi
exit "$code"
