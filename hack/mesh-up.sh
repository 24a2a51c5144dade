#!/usr/bin/env bash
# Brings up the cluster with cert-manager, the Gateway API and Leno in it. Keeps what is up; rolls out what was rebuilt. CHANNEL is the
# channel of the Gateway API, experimental or standard; a cluster that has the other one is begun afresh.
set -euo pipefail
cd "$(dirname "$0")/.."
. hack/step.sh
cluster=bin/cluster

[ "$(id -u)" = 0 ] || { echo "a cluster on this machine needs root: run this as root, or see 'make run' for a mesh without cluster"; exit 1; }

# image NAME BINARY: makes an image of a static binary and loads it.
image() {
  $cluster image --name "$1" --bin "$2" --entrypoint "/$(basename "$2")"
}

step "build the tools of the cluster" make --no-print-directory bin/cluster
channel=${CHANNEL:-experimental}
present=$(hack/channel.sh $cluster)
if [ -n "$present" ] && [ "$present" != "$channel" ]; then
  step "the cluster has the $present channel: remove it" $cluster down
fi
$cluster up
step "Gateway API v1.7.0 ($channel channel)" $cluster gateway-api --channel "$channel"
step "cert-manager" $cluster cert-manager --gateway-api
step "build Leno and the shop" make --no-print-directory bin/leno-manager bin/leno-proxy bin/leno-shop
before=$($cluster kubectl -n leno-system get deployment leno-manager -o jsonpath='{.metadata.annotations.leno-build}' 2>/dev/null || true)
build=$(cat bin/leno-manager bin/leno-proxy bin/leno-shop | sha256sum | cut -c1-16)
if [ "$before" != "$build" ]; then
  step "image leno-manager:dev" image leno-manager:dev bin/leno-manager
  step "image leno-proxy:dev" image leno-proxy:dev bin/leno-proxy
  step "image leno-shop:dev" image leno-shop:dev bin/leno-shop
fi
step "apply config/default" $cluster kubectl apply --server-side --force-conflicts -k config/default
if [ "$before" != "$build" ]; then
  [ -z "$before" ] || step "restart the manager" $cluster kubectl -n leno-system rollout restart deployment/leno-manager
  step "remember the build" $cluster kubectl -n leno-system annotate --overwrite deployment/leno-manager leno-build="$build"
fi
step "wait for the manager" $cluster kubectl -n leno-system rollout status deployment/leno-manager --timeout=180s
step "wait for the mesh" $cluster kubectl wait --for=condition=Ready mesh/default --timeout=120s
step "let gateways request little" $cluster kubectl apply --server-side --force-conflicts -f hack/gatewayclass.yaml
