#!/bin/sh
# Runs every fuzz target of the tree for a time each: test/fuzz.sh [DURATION] [PATTERN OF 'PACKAGE TARGET']
# A run begins with the committed corpus, testdata/fuzz/TARGET, and with what earlier runs have found, which Go keeps in its
# cache; an input that fails is written to testdata/fuzz/TARGET, to be committed with the fix.
set -eu
cd "$(dirname "$0")/.."
duration=${1:-30s}
wanted=${2:-.}
said=$(mktemp)
trap 'rm -f "$said"' EXIT

# fuzz runs one target. The time may end while Go waits for a worker, which it then reports as a failure though nothing failed.
fuzz() {
  if (cd "$1" && go test -run '^$' -fuzz "^$2\$" -fuzztime "$duration" -fuzzminimizetime 5s .) >"$said" 2>&1; then
    tail -n 1 "$said"
    return
  fi
  if grep -q '^ *context deadline exceeded$' "$said" && ! grep -qE 'Failing input|panic|--- FAIL: .*/|hung or terminated' "$said"; then
    echo 'nothing failed; the time ended within a worker'
    return
  fi
  cat "$said"
  return 1
}

git grep -lE '^func Fuzz[A-Z]' -- '*_test.go' | while read -r file; do
  package=$(dirname "$file") # some are in a module of their own
  sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file" | while read -r target; do
    printf '%s %s\n' "$package" "$target" | grep -E "$wanted" || continue
    fuzz "$package" "$target"
  done
done
