#!/usr/bin/env bash
# Runs the Gateway API conformance suite against the cluster that hack/mesh-up.sh brought up. Arguments go to the suite,
# like --run-test=MeshBasic. A full run writes test/conformance/reports/.
set -euo pipefail
cd "$(dirname "$0")/.."
. hack/step.sh
cluster=$PWD/bin/cluster

step "build the suite" go test -C test/conformance -c -o "$PWD/bin/conformance.test" .
step "image of the suite's echo server (a stand-in)" $cluster image --name registry.k8s.io/gateway-api/conformance/echo-advanced:v0.1.0 \
  --bin bin/echo-advanced --entrypoint /usr/local/bin/server --link /usr/local/bin/client --user 1338
cd test/conformance
$cluster exec -- ../../bin/conformance.test -test.v -test.timeout 30m --version "$(git describe --tags --always --dirty)" "$@"
