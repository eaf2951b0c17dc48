#!/usr/bin/env bash
# Writes the text in the file $1 into the open pull request of branch $BRANCH of $OWNER, whose last
# commit is $COMMIT, as one comment that later runs replace. $RUN is the URL of the run.
set -euo pipefail

marker='<!-- review -->'
# The number comes from GitHub, not from files that the pull request's code wrote.
number=$(gh api --method GET "repos/$GITHUB_REPOSITORY/pulls" -f state=open -f "head=$OWNER:$BRANCH" \
  --jq "map(select(.head.sha == \"$COMMIT\")) | first | .number // empty")
if [ -z "$number" ]; then
  echo "no open pull request of $OWNER:$BRANCH is at $COMMIT, so there is nothing to comment on"
  exit 0
fi
body=$(mktemp)
trap 'rm "$body"' EXIT
{
  echo "$marker"
  # The text is not trusted: it must not mention people or exceed the length of a comment.
  head --bytes 60000 "$1" | sed 's/@/@\xE2\x80\x8B/g'
  printf '\nReport and plots: [artifacts of this run](%s)\n' "$RUN"
} > "$body"
comment=$(gh api --paginate "repos/$GITHUB_REPOSITORY/issues/$number/comments" \
  --jq "map(select(.user.login == \"github-actions[bot]\" and (.body | startswith(\"$marker\")))) | first | .id // empty" | head -n 1)
if [ -n "$comment" ]; then
  gh api --method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$comment" -F "body=@$body" --silent
else
  gh api --method POST "repos/$GITHUB_REPOSITORY/issues/$number/comments" -F "body=@$body" --silent
fi
