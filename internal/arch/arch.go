// Package arch holds the architecture of the project as a table of import rules. Its test fails the build when a rule breaks.
package arch

import "strings"

// Module is the module path of the project.
const Module = "github.com/leno-mesh/leno"

// Rule says what a group of packages must never import.
type Rule struct {
	// From are packages of this module, without the module path. "proxy/..." means the package and all below it.
	From []string
	// Except are taken out of From.
	Except []string
	// Deny are import paths: ours without the module path, others in full; "/..." includes what is below.
	Deny []string
	// Allow are taken out of Deny.
	Allow []string
	// Linked looks at everything that is linked in, not at direct imports only.
	Linked bool
	Reason string
}

// Rules is the table. Read it aloud: "api must never import ..., because ...".
var Rules = []Rule{
	{
		From:   []string{"api/..."},
		Deny:   []string{"internal/...", "controllers/...", "proxy/...", "cmd/...", "k8s.io/client-go/...", "sigs.k8s.io/controller-runtime/pkg/client/..."},
		Reason: "API types are read by others' programs too: they carry neither our logic nor a client",
	},
	{
		From:   []string{"internal/mesh/...", "internal/identity/..."},
		Deny:   []string{"k8s.io/...", "sigs.k8s.io/...", "github.com/envoyproxy/...", "google.golang.org/grpc/..."},
		Linked: true,
		Reason: "nouns live alone: planes and shells are built around them",
	},
	{
		From: []string{"internal/snapshot/...", "internal/graph/..."},
		Deny: []string{
			"context", "log/...", "net", "net/http/...", "os/...", "time/tzdata", "github.com/go-logr/...",
			"k8s.io/client-go/...", "sigs.k8s.io/controller-runtime/...", "github.com/envoyproxy/...", "google.golang.org/grpc/...",
			"controllers/...", "proxy/...", "internal/xds/...",
		},
		Reason: "the core is a function of its arguments: no client, clock, log or network",
	},
	{
		From:   []string{"internal/xds"},
		Deny:   []string{"k8s.io/...", "sigs.k8s.io/...", "internal/snapshot/...", "internal/graph/...", "google.golang.org/grpc/..."},
		Reason: "translation knows the mesh and Envoy's API, not where either comes from",
	},
	{
		From:   []string{"internal/xds/server/..."},
		Deny:   []string{"k8s.io/...", "sigs.k8s.io/...", "internal/snapshot/...", "internal/graph/..."},
		Reason: "the server hands out what was translated; it decides nothing",
	},
	{
		From:   []string{"internal/pipeline/..."},
		Deny:   []string{"k8s.io/client-go/...", "sigs.k8s.io/controller-runtime/...", "google.golang.org/grpc/..."},
		Reason: "batches in, meshes out: the shells own clients and streams",
	},
	{
		From:   []string{"internal/inject/...", "internal/provision/..."},
		Deny:   []string{"k8s.io/client-go/...", "sigs.k8s.io/controller-runtime/...", "google.golang.org/grpc/..."},
		Reason: "what pods and gateways are made of is a function of its arguments: webhook and CLI call the same, one of them without a cluster",
	},
	{
		From:   []string{"controllers/..."},
		Deny:   []string{"proxy/..."},
		Reason: "the planes meet only in xDS",
	},
	{
		From:   []string{"proxy/config/..."},
		Deny:   []string{"proxy/..."},
		Allow:  []string{"proxy/config/..."},
		Reason: "everything in the proxy reads its configuration; it must not depend on its readers",
	},
	{
		From:   []string{"proxy/http1/...", "proxy/http2/...", "proxy/grpc/..."},
		Deny:   []string{"net", "net/http/...", "log/...", "proxy/config/...", "proxy/layer/...", "proxy/pool/..."},
		Reason: "codecs take bytes and give events; sockets, routes and logs are somebody else's",
	},
	{
		From:   []string{"proxy/route/...", "proxy/lb/...", "proxy/layer/..."},
		Deny:   []string{"net", "proxy/xdsclient/...", "proxy/pool/..."},
		Reason: "decisions are pure, so that they can be explained and tested without a network",
	},
	{
		From:   []string{"proxy/tcp/...", "proxy/udp/..."},
		Deny:   []string{"proxy/xdsclient/...", "proxy/plan/...", "proxy/route/...", "proxy/pool/...", "log/..."},
		Reason: "relays move bytes between sockets; whose they are is decided before",
	},
	{
		From:   []string{"proxy/..."},
		Deny:   []string{"net/http/httputil"},
		Reason: "requests go through our own codecs",
	},
	{
		From:   []string{"proxy/http1/...", "proxy/http2/...", "proxy/grpc/...", "proxy/msg/...", "proxy/route/...", "proxy/layer/...", "proxy/lb/...", "proxy/pool/...", "proxy/mux/...", "proxy/forward/...", "proxy/tcp/...", "proxy/udp/...", "proxy/detect/..."},
		Deny:   []string{"net/http"},
		Reason: "net/http stays out of the data path: it costs four times as much per request",
	},
	{
		From:   []string{"proxy/...", "cmd/proxy"},
		Deny:   []string{"k8s.io/...", "sigs.k8s.io/...", "internal/snapshot/...", "internal/graph/...", "internal/pipeline/...", "internal/xds/..."},
		Linked: true,
		Reason: "a proxy stays small, and knows nothing of Kubernetes",
	},
	{
		From:   []string{"proxy/...", "cmd/proxy"},
		Deny:   []string{"github.com/envoyproxy/...", "github.com/cncf/..."},
		Linked: true,
		Reason: "the generated types cost each sidecar 8 MB; resources are read by field number (docs/decisions/0001)",
	},
	{
		From:   []string{"internal/cli/..."},
		Deny:   []string{"controllers/..."},
		Reason: "the CLI shares the core, not the operator's shell",
	},
}

// BadNames are package names that say nothing.
var BadNames = []string{"util", "utils", "common", "helper", "helpers", "types", "shared", "misc"}

// Package is what the rules look at.
type Package struct {
	Path    string   // import path
	Imports []string // direct
	Deps    []string // all that is linked in
}

// Breach is one import that a rule forbids.
type Breach struct {
	Package, Import, Reason string
}

// Check returns the breaches in the order of rules and packages.
func Check(rules []Rule, packages []Package) []Breach {
	var out []Breach
	for _, rule := range rules {
		for _, p := range packages {
			if !matchesAny(rule.From, p.Path) || matchesAny(rule.Except, p.Path) {
				continue
			}
			imports := p.Imports
			if rule.Linked {
				imports = p.Deps
			}
			for _, imported := range imports {
				if matchesAny(rule.Deny, imported) && !matchesAny(rule.Allow, imported) {
					out = append(out, Breach{p.Path, imported, rule.Reason})
				}
			}
		}
	}
	return out
}

func matchesAny(patterns []string, path string) bool {
	for _, pattern := range patterns {
		if matches(pattern, path) {
			return true
		}
	}
	return false
}

// matches compares with and without the module path, so that rules read short.
func matches(pattern, path string) bool {
	own := strings.TrimPrefix(path, Module+"/")
	base, below := strings.CutSuffix(pattern, "/...")
	for _, p := range []string{path, own} {
		if p == base || below && strings.HasPrefix(p, base+"/") {
			return true
		}
	}
	return false
}
