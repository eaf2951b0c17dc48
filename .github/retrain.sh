#!/usr/bin/env bash
# The nightly job: data from and to the DVC remote, deliveries from the inbox.
set -euo pipefail
make .venv/installed-s3 .venv/installed-review
.venv/bin/dvc remote add --local --default --force store "$DVC_REMOTE_URL"
# Exit code 1: everything new is refused. The ledger says why, and the job has done its work.
.venv/bin/python -m retraining || [ $? -eq 1 ]
