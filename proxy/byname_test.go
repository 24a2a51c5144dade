package proxy_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/leno-mesh/leno/proxy"
	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

// nobody is an address that nobody has.
var nobody = netip.MustParseAddrPort("192.0.2.7:443")

// registers lets a pod reach hosts by name at a port, and nothing else that is unknown.
func (p *pod) registers(port uint16, hosts map[string]netip.AddrPort) {
	l := &config.Listener{Name: "outbound/" + config.CatchAll(port).String(), ByName: true, Routes: "hosts"}
	table := &config.RouteTable{Name: "hosts", Hosts: []config.Host{}}
	p.control.change(func(cfg *config.Config) {
		cfg.Policy = config.OutboundRegistryOnly
		cfg.Clusters, cfg.Routes = map[string]*config.Cluster{}, map[string]*config.RouteTable{"hosts": table}
		for host, at := range hosts {
			origin := config.Origin{Kind: "XBackend", Namespace: "shop", Name: host}
			cfg.Clusters[host] = &config.Cluster{Name: host, Origin: origin, Endpoints: []config.Endpoint{{Address: at}}}
			l.SNI = append(l.SNI, config.SNIRule{Origin: origin, Names: []string{host}, Shares: []config.Share{{Cluster: host, Weight: 1}}})
			table.Hosts = append(table.Hosts, config.Host{Names: []string{host}, Entries: 1})
			table.Entries = append(table.Entries, config.Entry{Action: &config.Action{Origin: origin, Backends: []config.Backend{{Cluster: host, Weight: 1}}}})
		}
		p.control.answers[config.CatchAll(port)] = l
		if len(hosts) == 0 {
			p.control.answers[config.CatchAll(port)] = nil
		}
		cfg.Outbound[config.CatchAll(port)] = p.control.answers[config.CatchAll(port)]
	})
}

// refusals are what the control plane was told.
func (c *control) refusals() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.refused)
}

// hello dials and begins TLS with a server name.
func (p *pod) hello(to netip.AddrPort, name string) (string, error) {
	conn := tls.Client(p.dial(to), &tls.Config{ServerName: name, InsecureSkipVerify: true})
	defer func() { _ = conn.Close() }()
	got, err := io.ReadAll(conn)
	return string(got), err
}

// askHost asks a host over an open connection.
func askHost(t *testing.T, conn net.Conn, host string) (int, string) {
	t.Helper()
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// TestByName: what names a registered host goes to where that is, also while the control plane is away; the rest is refused, counted and told.
func TestByName(t *testing.T) {
	m := newMesh(t)
	registry := prometheus.NewRegistry()
	web := m.pod("web", netip.AddrPort{}, func(o *proxy.Options) { o.Counters = telemetry.NewCounters(registry) })
	web.registers(443, map[string]netip.AddrPort{"api.example.com": tlsApp(t, "api"), "web.example.com": httpApp(t, "web")})
	for _, away := range []bool{false, true} {
		web.control.mu.Lock()
		web.control.away = away
		web.control.mu.Unlock()
		if got, err := web.hello(nobody, "API.example.com"); err != nil || !strings.HasPrefix(got, "api ") {
			t.Errorf("control plane away %v: %q, %v", away, got, err)
		}
		if status, body := askHost(t, web.dial(nobody), "web.example.com"); status != 200 || body != "web /" {
			t.Errorf("control plane away %v: %d %q", away, status, body)
		}
	}
	c := wait(t, &web.records, func() []telemetry.Connection { return web.records.connections }, func(telemetry.Connection) bool { return true })
	if c.Protocol != "TLS" || c.Origin.Name != "api.example.com" || c.Peer == nobody.String() {
		t.Errorf("record %+v", c)
	}
	if len(web.control.refusals()) > 0 {
		t.Errorf("refused %q", web.control.refusals())
	}

	conn := web.dial(nobody)
	for host, want := range map[string]int{"web.example.com": 200, "other.example.com": 403, "192.0.2.7": 403} {
		if status, body := askHost(t, conn, host); status != want || want == 403 && !strings.Contains(body, "port.number 443") {
			t.Errorf("%s: %d %q, want %d", host, status, body, want)
		}
	}
	if _, err := web.hello(nobody, "elsewhere.example.com"); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("another name: %v, want a reset", err)
	}
	garbage := web.dial(nobody)
	_, _ = io.WriteString(garbage, "\x00\x01\x02\r\n")
	if _, err := garbage.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("neither TLS nor HTTP: %v, want a reset", err)
	}
	told := web.control.refusals()
	slices.Sort(told)
	if want := []string{"192.0.2.7:443/", "192.0.2.7:443/", "192.0.2.7:443/elsewhere.example.com", "192.0.2.7:443/other.example.com"}; !slices.Equal(told, want) {
		t.Errorf("the control plane was told of %q, want %q", told, want)
	}
	const counted = `
# HELP leno_connections_refused_total Connections refused by policy, or because their peer proved no identity.
# TYPE leno_connections_refused_total counter
leno_connections_refused_total{direction="outbound",reason="not_registered"} 4
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(counted), "leno_connections_refused_total"); err != nil {
		t.Error(err)
	}
}

// TestByNameFollowsTheRegistry: a host that is not registered any more is not reached any more, over open connections too, were it the last one.
func TestByNameFollowsTheRegistry(t *testing.T) {
	m := newMesh(t)
	web := m.pod("web", netip.AddrPort{}, nil)
	web.registers(443, map[string]netip.AddrPort{"web.example.com": httpApp(t, "web")})
	conn := web.dial(nobody)
	want := func(what string, status int) {
		t.Helper()
		if got, body := askHost(t, conn, "web.example.com"); got != status {
			t.Errorf("%s: %d %q, want %d", what, got, body, status)
		}
	}
	want("registered", 200)
	web.registers(443, nil)
	want("not any more", 403)
	web.registers(443, map[string]netip.AddrPort{"web.example.com": httpApp(t, "web")})
	want("again", 200)
	web.control.change(func(cfg *config.Config) { cfg.Policy = config.OutboundDeny; cfg.Outbound[config.CatchAll(443)] = nil })
	want("denied", 403)
	if !web.refused(nobody) {
		t.Error("denied: not refused")
	}
}
