# Sourced by the other scripts.

export GOTOOLCHAIN=go1.27.0 GOFLAGS=-buildvcs=false CGO_ENABLED=0

# step TEXT COMMAND...: runs the command quietly, prints how long it took, and shows its output when it fails.
step() {
  local text=$1 start=$EPOCHREALTIME out
  shift
  out=$(mktemp)
  if ! "$@" >"$out" 2>&1; then
    printf '%-60s FAILED: %s\n' "$text" "$*"
    cat "$out"
    rm -f "$out"
    return 1
  fi
  rm -f "$out"
  printf '%-60s %6.1f s\n' "$text" "$(((${EPOCHREALTIME/./} - ${start/./}) / 100000))e-1"
}
