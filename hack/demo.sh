#!/usr/bin/env bash
# Shows what the mesh does, on a cluster that it brings up: each step says what it does and how long it took. What is up
# already is used again.
set -euo pipefail
cd "$(dirname "$0")/.."
. hack/step.sh
hack/mesh-up.sh
cluster=bin/cluster
k() { $cluster kubectl -n shop "$@"; }

bold='' plain=''
[ ! -t 1 ] || bold=$'\e[1m' plain=$'\e[0m'
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
show() { printf '    %s\n' "$*"; }
# load FLAGS...: requests from inside the mesh; prints the generator's last line.
load() { k exec deploy/load -c shop -- /leno-shop load "$@" | tail -n 1 | sed 's/^/    /'; }
weights() {
  k patch httproute catalog --type=json -p "[
    {\"op\":\"replace\",\"path\":\"/spec/rules/1/backendRefs/0/weight\",\"value\":$1},
    {\"op\":\"replace\",\"path\":\"/spec/rules/1/backendRefs/1/weight\",\"value\":$2}]" >/dev/null
}
rolled_out() { for d in frontend cart catalog-v1 catalog-v2 load; do k rollout status "deployment/$d" --timeout=180s; done; }
# inbound POD: what a pod's sidecar counted, by caller.
inbound() {
  k get --raw "/api/v1/namespaces/shop/pods/$1:15020/proxy/metrics" |
    sed -n 's/^leno_requests_total{.*direction="inbound".*mtls="\([a-z]*\)".*source="\([^"]*\)".* \([0-9.e+]*\)$/\2 mtls=\1 requests=\3/p'
}
expiry() { k get --raw "/api/v1/namespaces/shop/pods/$1:15020/proxy/metrics" | awk '/^leno_certificate_expiry_timestamp_seconds / {printf "%.0f\n", $2}'; }
# pod APP: the newest one; older ones may be on their way out.
pod() { k get pods -l "app=$1" --sort-by=.metadata.creationTimestamp -o jsonpath='{.items[-1:].metadata.name}'; }

say "The shop: frontend calls cart and catalog, cart calls catalog; catalog has v1 and v2"
step "kubectl apply -k config/samples/shop" $cluster kubectl apply -k config/samples/shop
step "wait for its pods, each with a sidecar" rolled_out
k get pods | sed 's/^/    /'

say "The HTTPRoute sends 90 of 100 requests for catalog to v1, 10 to v2"
weights 90 10
load --url=http://catalog/ --rate=200 --for=3s --show=catalog
say "Edited to 50 and 50, the traffic moves at once"
weights 50 50
load --url=http://catalog/ --rate=200 --for=3s --show=catalog
weights 90 10
say "A request with the header X-Canary: yes sees v2 only"
load --url=http://catalog/ --rate=200 --for=1s --show=catalog -H "X-Canary: yes"
say "Its status says that it is in effect"
k get httproute catalog -o jsonpath='{range .status.parents[*].conditions[*]}{.type}={.status} ({.reason}){"\n"}{end}' | sed 's/^/    /'

say "Who calls cart? Its sidecar knows them by their certificates (mutual TLS)"
inbound "$(pod cart)" | sed 's/^/    /'
$cluster kubectl patch mesh default --type=merge -p '{"spec":{"proxy":{"accessLog":true}}}' >/dev/null
# logged POD: its newest access log line about a request from elsewhere.
logged() { until k logs "$1" -c leno-proxy --since=20s | grep '"direction":"inbound"' | tail -n 1 | grep .; do sleep 0.5; done; }
show "one request in its access log:"
logged "$(pod cart)" | tr ',' '\n' | sed -n 's/^"\(sourceIdentity\|destinationIdentity\|mtls\|code\|service\)":\(.*\)$/        \1 \2/p'
$cluster kubectl patch mesh default --type=merge -p '{"spec":{"proxy":{"accessLog":false}}}' >/dev/null
show "cert-manager signed what the operator approved:"
$cluster kubectl -n leno-system get certificaterequests --sort-by=.metadata.creationTimestamp | tail -n 3 | sed 's/^/    /'

say "A certificate is renewed while requests flow (lifetime of one minute, for the occasion)"
lifetime() { $cluster kubectl patch mesh default --type=merge -p "{\"spec\":{\"certificate\":{\"lifetime\":\"$1\"}}}" >/dev/null; }
trap 'lifetime 24h' EXIT
lifetime 1m
k rollout restart deployment/cart >/dev/null
step "restart cart" k rollout status deployment/cart --timeout=180s
target=$(pod cart) before=$(expiry "$target")
k exec deploy/load -c shop -- /leno-shop load --url=http://frontend/ --rate=100 --for=50s --show=cart >/tmp/leno-demo-load.$$ 2>&1 &
renewed() { until now=$(expiry "$target") && [ "$now" -gt "$before" ]; do sleep 1; done; }
step "wait for the new certificate of $target" timeout 90 bash -c "$(declare -f renewed expiry k); cluster=$cluster target=$target before=$before; renewed"
wait $! || true
tail -n 1 /tmp/leno-demo-load.$$ | sed 's/^/    /'
rm -f /tmp/leno-demo-load.$$
lifetime 24h
trap - EXIT

say "Go on with"
show "export PATH=$PWD/bin:\$PATH"
show "cluster kubectl get pods -n shop"
show "cluster kubectl edit httproute catalog -n shop                       # move the weights"
show "cluster kubectl logs -n shop deploy/load -c shop -f                  # and watch them move"
show "cluster kubectl delete pods -n leno-system --all                     # no request fails without the operator"
show "cluster kubectl rollout restart deployment -n shop                   # nor when everything restarts"
show "cluster kubectl describe mesh default"
show "make demo-down                                                       # remove all of it"
