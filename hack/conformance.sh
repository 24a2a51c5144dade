#!/usr/bin/env bash
# Runs the Gateway API conformance suite, and tests of our own in its shape, on the cluster of test/cluster.
#
#   hack/conformance.sh                                 both channels, everything: writes test/conformance/reports/
#   hack/conformance.sh --channel standard              one channel
#   hack/conformance.sh --profile mesh                  some profiles, by name or as "mesh" or "gateway", comma-separated
#   hack/conformance.sh --run-test HTTPRouteMatching    one test, the suite's or our own
#   hack/conformance.sh --beyond                        only the tests of our own
#   hack/conformance.sh --keep …                        on the cluster as it is: nothing is built or brought up but the suite
#
# All else goes to the suite: --debug, --cleanup-base-resources=false, --supported-features=…. What is no full run of a channel leaves
# its report in bin/conformance/, single tests leave none.
set -euo pipefail
cd "$(dirname "$0")/.."
. hack/step.sh
cluster=$PWD/bin/cluster

channels='' profiles='' test='' beyond='' keep='' rest=()
while [ $# -gt 0 ]; do
  case $1 in
    --channel | --profile | --run-test) [ $# -gt 1 ] || { echo "$1 needs a value" >&2; exit 2; } ;;&
    --channel=* | --profile=* | --run-test=*) set -- "${1%%=*}" "${1#*=}" "${@:2}"; continue ;;
    --channel) channels=$2; shift 2 ;;
    --profile) profiles=$2; shift 2 ;;
    --run-test) test=$2; shift 2 ;;
    --beyond) beyond=1; shift ;;
    --keep) keep=1; shift ;;
    -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit ;;
    *) rest+=("$1"); shift ;;
  esac
done
profiles=${profiles/gateway/GATEWAY-HTTP,GATEWAY-GRPC,GATEWAY-TLS,GATEWAY-TCP,GATEWAY-UDP}
profiles=${profiles/mesh/MESH-HTTP,MESH-GRPC}

# What is tested, before reports of it change files.
version=$(git describe --tags --always --dirty)

# suite FLAGS...: the suite inside the cluster's network. 2 h is twice what a full run takes.
suite() {
  (cd test/conformance && "$cluster" exec -- ../../bin/conformance.test -test.v -test.timeout 2h -test.parallel 4 \
    --version "$version" "$@" "${rest[@]}")
}

# run CHANNEL: what the flags ask for.
run() {
  if [ -z "$keep" ]; then
    make --no-print-directory conformance-images CHANNEL="$1" || return
  fi
  if [ -n "$test" ]; then
    suite --run-test "$test"
  elif [ -n "$beyond" ]; then
    suite -beyond --report-output "$PWD/bin/conformance/$1/beyond/report.yaml"
  elif [ -n "$profiles" ]; then
    suite --conformance-profiles "$profiles" --report-output "$PWD/bin/conformance/$1/report.yaml"
  else
    suite --report-output "$PWD/test/conformance/reports/$1/report.yaml"
  fi
}

# One test or some profiles: of the channel that is there, by default. Everything: of both.
if [ -z "$channels" ]; then
  channels=$(hack/channel.sh "$cluster")
  channels=${channels:-experimental}
  [ -n "$test$beyond$profiles$keep" ] || channels="experimental standard"
fi

step "build the suite" go test -C test/conformance -c -o "$PWD/bin/conformance.test" .
failed=()
for channel in $channels; do
  start=$SECONDS
  if run "$channel"; then
    echo "conformance, $channel channel: passed after $((SECONDS - start)) s"
  else
    echo "conformance, $channel channel: FAILED after $((SECONDS - start)) s"
    failed+=("$channel")
  fi
done
[ ${#failed[@]} = 0 ] || { echo "CONFORMANCE FAILED: ${failed[*]}"; exit 1; }
