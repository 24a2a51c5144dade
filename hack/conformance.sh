#!/usr/bin/env bash
# Runs the Gateway API conformance suite against the cluster that "make echo-image" brought up. Arguments go to the suite,
# like --run-test=MeshBasic. A full run writes test/conformance/reports/.
set -euo pipefail
cd "$(dirname "$0")/.."
. hack/step.sh
cluster=$PWD/bin/cluster

step "build the suite" go test -C test/conformance -c -o "$PWD/bin/conformance.test" .
cd test/conformance
$cluster exec -- ../../bin/conformance.test -test.v -test.timeout 30m --version "$(git describe --tags --always --dirty)" "$@"
