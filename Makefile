# Leno: make help

export GOTOOLCHAIN := go1.27.0
export GOFLAGS := -buildvcs=false
export CGO_ENABLED := 0

SHELL := /bin/bash -eo pipefail
BIN := bin
TOOL := go tool -modfile=$(CURDIR)/hack/tools/go.mod
CLUSTER := $(CURDIR)/bin/cluster
VERSION := 0.1.0
LDFLAGS := -s -w -X main.version=$(VERSION)

.PHONY: help
help: ## Show what can be made
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ See it work
.PHONY: run
run: $(BIN)/leno $(BIN)/leno-shop ## Run the sample shop on this machine: no cluster, no root
	$(BIN)/leno run -f config/samples/shop

.PHONY: demo
demo: ## Bring up a real cluster (root, Linux), install Leno and the shop, show what the mesh does
	hack/demo.sh

.PHONY: demo-down
demo-down: cluster-down ## Remove all that the demo made

##@ Build
.PHONY: build
build: $(BIN)/leno $(BIN)/leno-manager $(BIN)/leno-proxy ## Build the binaries into bin/

.PHONY: FORCE
$(BIN)/leno: FORCE
	@mkdir -p $(BIN); go build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/leno
$(BIN)/leno-manager: FORCE
	@mkdir -p $(BIN); go build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./cmd/manager
# grpcnotrace leaves out a debugging page whose templates keep 2 MiB of unused code in each sidecar.
$(BIN)/leno-proxy: FORCE
	@mkdir -p $(BIN); go build -trimpath -tags grpcnotrace -ldflags '$(LDFLAGS)' -o $@ ./cmd/proxy
$(BIN)/leno-shop: FORCE
	@mkdir -p $(BIN); go build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./test/shop
$(BIN)/cluster: FORCE
	@mkdir -p $(BIN); go build -C test/cluster -o $(CLUSTER) .
$(BIN)/echo-advanced: FORCE
	@mkdir -p $(BIN); go build -C test/conformance -trimpath -ldflags '-s -w' -o $(CURDIR)/$@ ./echo-advanced
$(BIN)/ext-authz: FORCE
	@mkdir -p $(BIN); go build -C test/conformance -trimpath -ldflags '-s -w' -o $(CURDIR)/$@ ./ext-authz
$(BIN)/echo-basic: FORCE
	@mkdir -p $(BIN); go build -C test/conformance -trimpath -ldflags '-s -w' -o $(CURDIR)/$@ sigs.k8s.io/gateway-api-conformance-images/echo-basic

.PHONY: generate
generate: ## Generate deepcopy functions, CRDs and RBAC
	$(TOOL) controller-gen object paths=./api/...
	$(TOOL) controller-gen crd paths=./api/... output:crd:artifacts:config=config/crd
	$(TOOL) controller-gen rbac:roleName=leno-manager paths=./controllers/... output:rbac:artifacts:config=config/rbac

.PHONY: bundle
bundle: ## Generate the bundle for OLM from config/default
	$(TOOL) kustomize build config/default | go run ./hack/bundle -version $(VERSION) -out bundle config/samples/mesh.yaml config/samples/gatewayparameters.yaml

##@ Test
.PHONY: test
test: vet c-compiler ## Unit, golden and in-process tests, with the race detector: no root, no cluster, no network
	CGO_ENABLED=1 go test -race ./...
	go test -C test/cluster ./...
	go test -C test/conformance ./beyond ./echo-advanced ./ext-authz ./summary

FUZZTIME := 30s
.PHONY: fuzz
fuzz: ## Each fuzz target for FUZZTIME in turn; FUZZ=pattern chooses some
	FUZZTIME=$(FUZZTIME) hack/fuzz.sh $(FUZZ)

# The race detector needs one.
.PHONY: c-compiler
c-compiler:
	@command -v gcc >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -qy gcc libc6-dev; } || \
	  { echo "the race detector needs a C compiler: as root, apt-get install gcc libc6-dev"; exit 1; }

.PHONY: vet
vet: ## go vet and gofmt, of all modules and build tags
	go vet ./...
	go vet -tags e2e,netns,fault,differential ./test/e2e ./proxy/capture ./test/fault ./test/differential
	go vet -C test/cluster ./...
	go vet -C test/conformance -tags api ./...
	go vet -C test/h2spec ./...
	@gofmt=$$(go env GOROOT)/bin/gofmt; test -z "$$($$gofmt -l api cmd controllers internal proxy test hack)" || { $$gofmt -l api cmd controllers internal proxy test hack; echo "run gofmt -w on these files"; exit 1; }

.PHONY: lint
lint: ## golangci-lint, of all modules and build tags
	$(TOOL) golangci-lint run ./...
	$(TOOL) golangci-lint run --build-tags e2e,netns,fault,differential ./test/e2e ./proxy/capture ./test/fault ./test/differential
	cd test/cluster && $(TOOL) golangci-lint run ./...
	cd test/conformance && $(TOOL) golangci-lint run --build-tags api ./...
	cd test/h2spec && $(TOOL) golangci-lint run ./...

.PHONY: check-generated
check-generated: generate bundle ## Fail when generated files are not what the sources say
	git diff --exit-code -- api config bundle
	@test -z "$$(git ls-files --others -- bundle)" || { git ls-files --others -- bundle; echo "commit these generated files"; exit 1; }

.PHONY: test-h2spec
test-h2spec: ## h2spec, strict, against all listeners of a sidecar that speak HTTP/2
	go test -C test/h2spec -count=1 ./...

.PHONY: test-api
test-api: $(BIN)/cluster ## Tests against a real API server
	export KUBEBUILDER_ASSETS=$$($(CLUSTER) assets); \
	  go test -count=1 ./controllers/... ./api/... && go test -C test/conformance -count=1 -tags api ./beyond

.PHONY: test-netns
test-netns: ## Redirection of traffic, in a network namespace of its own (root, Linux)
	go test -count=1 -tags netns ./proxy/capture

# As root in a network namespace of its own, with the scenarios that need one.
FAULT := go test -count=1 -parallel 32 -timeout 15m -tags fault$(shell [ "$$(id -u)" != 0 ] || echo ,netns) ./test/fault

.PHONY: test-fault
test-fault: ## Everything that can break, broken: resets, stalls, slow clients, 10,000 idle ones, changes under 1,000 streams
	$(FAULT) -v

.PHONY: test-fault-quick
test-fault-quick: ## The same with smaller numbers
	$(FAULT) -args -quick

# SEED=n makes other random ones; ARGS="-only wire/ -test.v" sends some of the requests and shows each difference.
.PHONY: test-differential
test-differential: ## The same resources and requests to Leno and to a real Envoy, compared (Linux; Envoy from PyPI)
	go test -tags differential -c -o $(BIN)/differential.test ./test/differential
	envoy=$$(hack/envoy.sh); cd test/differential; ENVOY=$$envoy $(CURDIR)/$(BIN)/differential.test -test.timeout 10m $(ARGS)

.PHONY: test-e2e
test-e2e: test-netns test-api conformance-images ## The real cluster end to end, with the seven profiles of the conformance suite (root, Linux)
	go test -tags e2e -c -o $(BIN)/e2e.test ./test/e2e
	cd test/e2e && $(CLUSTER) exec -- $(CURDIR)/$(BIN)/e2e.test -test.v -test.timeout 25m
	hack/conformance.sh --keep --profile mesh,gateway

# The suite's echo servers under the names that its manifests have. echo-basic is the original, of which the module proxy has v0.1.0 only;
# echo-advanced is a stand-in, and the end-to-end tests use it too. ext-authz is for tests of our own.
.PHONY: conformance-images
conformance-images: mesh-up $(BIN)/echo-advanced $(BIN)/echo-basic $(BIN)/ext-authz
	$(CLUSTER) image --name registry.k8s.io/gateway-api/conformance/echo-advanced:v0.1.0 --bin $(BIN)/echo-advanced \
	  --entrypoint /usr/local/bin/server --link /usr/local/bin/client --user 1338
	$(CLUSTER) image --name registry.k8s.io/gateway-api/conformance/echo-basic:v0.1.0 --bin $(BIN)/echo-basic --user 65532
	$(CLUSTER) image --name registry.k8s.io/gateway-api/conformance/echo-basic:v0.2.0 --bin $(BIN)/echo-basic --user 65532
	$(CLUSTER) image --name leno-ext-authz:dev --bin $(BIN)/ext-authz --user 65532

# ARGS="--run-test MeshBasic" runs one test, ARGS="--channel standard --profile gateway" some; hack/conformance.sh --help lists them.
.PHONY: conformance
conformance: ## The Gateway API suite, all profiles, both channels (root, Linux); writes test/conformance/reports/
	hack/conformance.sh $(ARGS)

.PHONY: bench
bench: bench-proxies ## Side by side with nginx, HAProxy and Envoy (Linux, two cores); writes test/bench/results/. BENCH="-help" shows flags
	go run ./test/bench -out test/bench/results $(BENCH)

# What compiling the proxy goes by: where its time goes under load of each protocol.
PROFILED := http1/32/.*KiB|http1-mtls/32/1KiB|http2.*/64/.*|grpc.*/64|tcp.*/32/1KiB
.PHONY: profile
profile: ## Measure the proxy for cmd/proxy/default.pgo, which the compiler optimizes it by (Linux, two cores, 3 minutes)
	dir=$$(mktemp -d) && trap 'rm -r "$$dir"' EXIT && \
	  go run ./test/bench -contenders leno -scenarios '$(PROFILED)' -pace 0 -rounds 1 -duration 4s -profiles "$$dir" && \
	  go tool pprof -proto -output cmd/proxy/default.pgo "$$dir"/*.pprof

# The benchmark says loudly what it has to do without. Debian would run the proxies as services, RUNLEVEL=1 keeps it from that.
.PHONY: bench-proxies
bench-proxies:
	@command -v /usr/sbin/nginx >/dev/null && command -v /usr/sbin/haproxy >/dev/null || [ "$$(id -u)" != 0 ] || \
	  { apt-get update -qq && RUNLEVEL=1 apt-get install -qy --no-install-recommends nginx libnginx-mod-stream haproxy; } || \
	  echo "could not install nginx and haproxy"

##@ A cluster on this machine (root, Linux)
.PHONY: cluster-up
cluster-up: $(BIN)/cluster ## Bring up the cluster
	$(CLUSTER) up

.PHONY: cluster-down
cluster-down: $(BIN)/cluster ## Remove the cluster and all that belongs to it
	$(CLUSTER) down

.PHONY: mesh-up
mesh-up: $(BIN)/cluster ## Bring up the cluster with cert-manager, the Gateway API and Leno
	hack/mesh-up.sh

##@ A cluster you have (current kubeconfig)
.PHONY: install
install: ## Install the custom resource definitions
	kubectl apply -k config/crd

.PHONY: deploy
deploy: ## Install Leno
	kubectl apply -k config/default

.PHONY: undeploy
undeploy: ## Remove Leno
	kubectl delete --ignore-not-found -k config/default

.PHONY: clean
clean: ## Remove what was built
	rm -rf $(BIN)
