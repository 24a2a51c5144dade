package xdsclient

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/leno-mesh/leno/internal/identity/devca"
	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/test/golden"
)

// TestMachine plays the scripts in testdata/machine. Lines that begin with ">" (what the client sends) and with "config"
// (a new configuration) are written by the test (-update). The others are what happens:
//
//	want IP:port, release IP:port, rewant IP:port (both, before anything is sent), refused IP:port host, connect, disconnect, evict, restart (a new client that finds the file of the old one)
//	< LDS outbound/10.0.0.1:80@1:cluster,routes inbound@1:registry
//	< RDS routes@1:cluster,cluster
//	< CDS cluster@1
//	< EDS cluster@1:number of endpoints
//	< SDS trust-bundle@1:PEM
//	< LDS -name !name@1            removed; one that cannot be decoded
//	gateway                        the proxy is one of a gateway
//	< LDS gateway/443@1:cluster    a port that relays; gateway/443@1:,routes one of HTTPS with certificate/a/b
//	< SDS certificate/a/b@1
func TestMachine(t *testing.T) {
	written := func(line string) bool { return strings.HasPrefix(line, ">") || strings.HasPrefix(line, "config") }
	golden.Scripts(t, "testdata/machine", written, func(t *testing.T) golden.Play {
		p := player{t: t, machine: newMachine(node{ID: "sidecar~shop/web-1"})}
		p.config = p.machine.config
		return p.play
	})
}

type player struct {
	t       *testing.T
	machine *machine
	config  *config.Config
	nonce   int
}

var shortNames = map[string]string{
	"LDS": config.ListenerType, "RDS": config.RouteType, "CDS": config.ClusterType, "EDS": config.EndpointType, "SDS": config.SecretType,
}

func short(typeURL string) string {
	for s, t := range shortNames {
		if t == typeURL {
			return s
		}
	}
	return typeURL
}

func (p *player) play(out *strings.Builder, words []string) {
	m := p.machine
	switch {
	case len(words) == 0 || words[0] == "#":
		return
	case words[0] == "gateway":
		m.gateway = true
	case words[0] == "want":
		m.want(netip.MustParseAddrPort(words[1]))
	case words[0] == "release":
		m.release(netip.MustParseAddrPort(words[1]))
	case words[0] == "rewant":
		m.release(netip.MustParseAddrPort(words[1]))
		m.want(netip.MustParseAddrPort(words[1]))
	case words[0] == "evict":
		fmt.Fprintf(out, "config: room=%v\n", m.evict())
	case words[0] == "refused":
		fmt.Fprintf(out, "config: news=%v\n", m.refused(config.RefusedName(netip.MustParseAddrPort(words[1]), strings.Join(words[2:], "")), time.Unix(0, 0)))
	case words[0] == "connect":
		m.connect()
	case words[0] == "disconnect":
		m.disconnect()
	case words[0] == "standing":
		fmt.Fprintf(out, "config: %s is %s\n", words[1], [...]string{"waiting", "known", "stuck"}[m.standing(netip.MustParseAddrPort(words[1]))])
	case words[0] == "restart":
		file := filepath.Join(p.t.TempDir(), "config")
		if err := store(file, m.resources()); err != nil {
			p.t.Fatal(err)
		}
		resources, err := load(file)
		if err != nil {
			p.t.Fatal(err)
		}
		p.machine = newMachine(m.node)
		p.machine.gateway = m.gateway
		m = p.machine
		if err := m.restore(resources); err != nil {
			p.t.Fatal(err)
		}
	case words[0] == "<":
		p.nonce++
		r := response{Type: shortNames[words[1]], Nonce: fmt.Sprint(p.nonce)}
		for _, w := range words[2:] {
			if name, ok := strings.CutPrefix(w, "-"); ok {
				r.Removed = append(r.Removed, name)
			} else {
				r.Resources = append(r.Resources, p.resource(words[1], w))
			}
		}
		m.receive(r)
	default:
		p.t.Fatalf("no such command: %q", words)
	}
	for _, r := range m.requests() {
		p.show(out, r)
	}
	if m.config != p.config {
		p.config = m.config
		p.describe(out)
		if err := config.Check(m.config); err != nil {
			p.t.Errorf("inconsistent: %v", err)
		}
	}
}

func (p *player) show(out *strings.Builder, r request) {
	fmt.Fprintf(out, "> %s", short(r.Type))
	if r.Node != nil {
		fmt.Fprintf(out, " (node %s)", r.Node.ID)
	}
	for _, name := range r.Subscribe {
		if v := r.Versions[name]; v != "" {
			fmt.Fprintf(out, " =%s@%s", name, v)
		} else {
			fmt.Fprintf(out, " +%s", name)
		}
	}
	for _, name := range r.Unsubscribe {
		fmt.Fprintf(out, " -%s", name)
	}
	if r.Refused != "" {
		fmt.Fprintf(out, " nack %s", r.Refused)
	} else if r.Nonce != "" {
		fmt.Fprintf(out, " ack")
	}
	fmt.Fprintln(out)
}

func (p *player) describe(out *strings.Builder) {
	c := p.machine.config
	fmt.Fprint(out, "config")
	if c.Inbound != nil {
		fmt.Fprintf(out, " inbound outbound=%v", c.Policy)
	}
	for _, dst := range slices.SortedFunc(maps.Keys(c.Outbound), netip.AddrPort.Compare) {
		if l := c.Outbound[dst]; l != nil {
			fmt.Fprintf(out, " %v(%s %s)", dst, strings.Join(l.References(), "+"), l.Routes)
		} else {
			fmt.Fprintf(out, " %v(unknown)", dst)
		}
	}
	for _, number := range slices.Sorted(maps.Keys(c.Ports)) {
		fmt.Fprintf(out, " port %d(%s %s)", number, strings.Join(c.Ports[number].References(), "+"), strings.Join(c.Ports[number].Tables(), "+"))
	}
	if c.Waiting > 0 {
		fmt.Fprintf(out, " waiting=%d", c.Waiting)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Certificates)) {
		fmt.Fprintf(out, " %s@%s", name, c.Certificates[name].Version)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Routes)) {
		fmt.Fprintf(out, " routes %s@%s", name, c.Routes[name].Version)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Clusters)) {
		fmt.Fprintf(out, " cluster %s@%s(%d)", name, c.Clusters[name].Version, len(c.Clusters[name].Endpoints))
	}
	fmt.Fprintln(out)
}

func (p *player) resource(kind, word string) resource {
	name, bad := strings.CutPrefix(word, "!")
	name, rest, _ := strings.Cut(name, "@")
	version, args, _ := strings.Cut(rest, ":")
	r := resource{Type: shortNames[kind], Name: name, Version: version, Body: []byte{0xff}}
	if bad {
		return r
	}
	list := strings.Split(args, ",")
	switch kind {
	case "LDS":
		r.Body = p.listener(name, list)
	case "RDS":
		var routes []string
		for _, c := range list {
			routes = append(routes, fmt.Sprintf(`{"match": {"prefix": "/"}, "route": {"cluster": %q}}`, c))
		}
		r.Body = p.encode(&routev3.RouteConfiguration{}, `{"name": %q, "virtualHosts": [{"domains": ["*"], "routes": [%s]}]}`, name, strings.Join(routes, ","))
	case "CDS":
		r.Body = p.encode(&clusterv3.Cluster{}, `{"name": %q, "type": "EDS", "lbPolicy": "LEAST_REQUEST"}`, name)
	case "EDS":
		n := 0
		fmt.Sscan(args, &n)
		var endpoints []string
		for i := range n {
			endpoints = append(endpoints, fmt.Sprintf(`{"endpoint": {"address": {"socketAddress": {"address": "10.1.0.%d", "portValue": 80}}}}`, i))
		}
		r.Body = p.encode(&endpointv3.ClusterLoadAssignment{}, `{"clusterName": %q, "endpoints": [{"lbEndpoints": [%s]}]}`, name, strings.Join(endpoints, ","))
	case "SDS":
		if strings.HasPrefix(name, config.CertificatePrefix) {
			r.Body = p.certificate(name)
			break
		}
		r.Body = p.encode(&tlsv3.Secret{}, `{"name": %q, "validationContext": {"trustedCa": {"inlineBytes": "UEVN"}}}`, name)
	}
	return r
}

func (p *player) listener(name string, args []string) []byte {
	if name == config.InboundName {
		return p.encode(&listenerv3.Listener{}, `{"name": "inbound", "metadata": {"filterMetadata": {"dev.leno.inbound": {}, "dev.leno.proxy": {"outbound": %q}}}}`, map[bool]string{true: "RegistryOnly", false: "Allow"}[args[0] == "registry"])
	}
	if clusters := strings.Split(args[0], "+"); len(clusters) > 1 {
		return p.weighted(name, clusters)
	}
	if number, ok := strings.CutPrefix(name, config.GatewayPrefix); ok {
		return p.port(name, number, args)
	}
	chain := ""
	if len(args) > 1 {
		chain = fmt.Sprintf(`{"filters": [{"typedConfig": {"@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", "rds": {"routeConfigName": %q}}}]}`, args[1])
	}
	return p.encode(&listenerv3.Listener{}, `{"name": %q, "metadata": {"filterMetadata": {"dev.leno.listener": {"cluster": %q}}}, "filterChains": [%s]}`, name, args[0], chain)
}

// weighted is a listener for connections that are relayed, to "a+b" alike.
func (p *player) weighted(name string, clusters []string) []byte {
	var list []string
	for _, c := range clusters {
		list = append(list, fmt.Sprintf(`{"name": %q, "weight": 1}`, c))
	}
	return p.encode(&listenerv3.Listener{}, `{"name": %q, "metadata": {"filterMetadata": {"dev.leno.listener": {"protocol": "TCP"}}}, "defaultFilterChain":
		{"filters": [{"typedConfig": {"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", "weightedClusters": {"clusters": [%s]}}}]}}`, name, strings.Join(list, ","))
}

func (p *player) encode(m proto.Message, format string, args ...any) []byte {
	p.t.Helper()
	if err := protojson.Unmarshal(fmt.Appendf(nil, format, args...), m); err != nil {
		p.t.Fatal(err)
	}
	b, err := proto.Marshal(m)
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

// port is a listener of a gateway: HTTPS where it has routes, else for connections that are relayed.
func (p *player) port(name, number string, args []string) []byte {
	chain := fmt.Sprintf(`{"filters": [{"typedConfig": {"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", "cluster": %q}}]}`, args[0])
	if len(args) > 1 {
		chain = fmt.Sprintf(`{"filterChainMatch": {"transportProtocol": "tls"}, "filters": [{"typedConfig": {
			"@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", "useRemoteAddress": true, "normalizePath": true, "rds": {"routeConfigName": %q}}}],
			"transportSocket": {"typedConfig": {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
				"commonTlsContext": {"tlsCertificateSdsSecretConfigs": [{"name": "certificate/a/b"}]}}}}`, args[1])
	}
	return p.encode(&listenerv3.Listener{}, `{"name": %q, "address": {"socketAddress": {"address": "::", "portValue": %s}}, "filterChains": [%s]}`, name, number, chain)
}

// certificate is a secret with a key and its certificate.
func (p *player) certificate(name string) []byte {
	p.t.Helper()
	ca, err := devca.New(time.Hour)
	if err != nil {
		p.t.Fatal(err)
	}
	pair, err := ca.Server(time.Hour, "a.test")
	if err != nil {
		p.t.Fatal(err)
	}
	chain, key, err := devca.PEM(pair)
	if err != nil {
		p.t.Fatal(err)
	}
	text := base64.StdEncoding.EncodeToString
	return p.encode(&tlsv3.Secret{}, `{"name": %q, "tlsCertificate": {"certificateChain": {"inlineBytes": %q}, "privateKey": {"inlineBytes": %q}}}`,
		name, text(chain), text(key))
}
