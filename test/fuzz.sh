#!/bin/sh
# Runs every fuzz target of the tree for a time each: test/fuzz.sh [DURATION]
set -eu
cd "$(dirname "$0")/.."
duration=${1:-30s}
git grep -lE '^func Fuzz[A-Z]' -- '*_test.go' | while read -r file; do
  package=$(dirname "$file") # some are in a module of their own
  sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file" | while read -r target; do
    printf '%s %s\n' "$package" "$target"
    (cd "$package" && go test -run '^$' -fuzz "^$target\$" -fuzztime "$duration" .)
  done
done
