#!/usr/bin/env bash
# Runs each fuzz target of the module in turn, FUZZTIME each; arguments are patterns of the targets wanted ("http1",
# "FuzzSniff"), one of which must match.
# What a target finds is written to testdata/fuzz beside it, where every later go test plays it again.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${FUZZTIME:-30s}

# "package target", sorted, of what is wanted.
list() {
  grep -rE --include='*_test.go' '^func Fuzz[A-Za-z0-9]+\(' cmd controllers internal proxy test | sed -E 's|^(.*)/[^/]+:func (Fuzz[A-Za-z0-9]+).*|./\1 \2|' | sort
}

targets=$(list)
if [ $# -gt 0 ]; then
  wanted=$(IFS='|'; echo "$*")
  targets=$(grep -E -- "$wanted" <<<"$targets") || { echo "no fuzz target matches $wanted; there are:"; list; exit 1; }
fi
total=$(wc -l <<<"$targets")
n=0 failed=()
while read -r package target; do
  n=$((n + 1))
  echo "[$n/$total] $package $target, $time"
  # Minimising is short: inputs whose coverage varies (timing, random numbers) would take all of the time.
  if ! go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 2s "$package" </dev/null; then failed+=("$package $target"); fi
done <<<"$targets"
if [ ${#failed[@]} -gt 0 ]; then
  printf 'failed: %s\n' "${failed[@]}"
  exit 1
fi
echo "$total targets found nothing"
