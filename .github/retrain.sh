#!/usr/bin/env bash
# The nightly job: data from and to the DVC remote, batches from the inbox.
set -euo pipefail
make .venv/installed-s3 .venv/installed-review
.venv/bin/dvc remote add --local --default --force store "$DVC_REMOTE_URL"
# 1 is a batch that was refused: the ledger has it, and the job has done its work.
.venv/bin/python -m review retrain || [ $? -eq 1 ]
