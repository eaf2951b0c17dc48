#!/usr/bin/env bash
# Keeps one open issue that lists the weekly jobs that failed, and closes it once all succeed.
# $RESULTS is GitHub's `needs`, as JSON; $RUN is the URL of the run.
set -euo pipefail

marker='<!-- weekly -->'
failed=$(jq --raw-output 'to_entries | map(select(.value.result != "success").key) | join(", ")' <<< "$RESULTS")
number=$(gh api --paginate "repos/$GITHUB_REPOSITORY/issues?state=open&creator=github-actions%5Bbot%5D" \
  --jq "map(select(.pull_request == null and (.body // \"\" | startswith(\"$marker\")))) | first | .number // empty" | head -n 1)
if [ -z "$failed" ]; then
  if [ -n "$number" ]; then
    gh api --method PATCH "repos/$GITHUB_REPOSITORY/issues/$number" -f state=closed --silent
  fi
  exit 0
fi
body=$(printf '%s\nFailed in [the last run](%s): **%s**.\n\nThis issue is updated every week, and closed once all jobs succeed.' \
  "$marker" "$RUN" "$failed")
if [ -n "$number" ]; then
  gh api --method PATCH "repos/$GITHUB_REPOSITORY/issues/$number" -f "body=$body" --silent
else
  gh api --method POST "repos/$GITHUB_REPOSITORY/issues" -f "title=The weekly checks fail" -f "body=$body" --silent
fi
