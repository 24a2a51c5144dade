package inproc_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leno-mesh/leno/internal/identity/devca"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/test/inproc"
)

// outside is a host outside of the mesh, which serves HTTP of either version, in TLS or not. The name leads to it; nobody is at the
// address that applications dial.
type outside struct {
	port    uint16
	dialled netip.AddrPort
}

func startOutside(t *testing.T, certificate *tls.Certificate) outside {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		ErrorLog: log.New(io.Discard, "", 0), Protocols: new(http.Protocols), ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprintf(w, "%s %s tls=%t", r.Host, r.Proto, r.TLS != nil) // the client may be gone
		}),
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetHTTP2(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	serve := func() error { return server.Serve(listener) }
	if certificate != nil {
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*certificate}}
		serve = func() error { return server.ServeTLS(listener, "", "") }
	}
	go func() { _ = serve() }() // ends with Close
	t.Cleanup(func() { _ = server.Close() })
	port := listener.Addr().(*net.TCPAddr).AddrPort().Port()
	return outside{port, netip.AddrPortFrom(netip.MustParseAddr("192.0.2.7"), port)}
}

// apiCertificate is one for api.example.com, and a ConfigMap "outside" with who has signed it.
func apiCertificate(t *testing.T) (certificate *tls.Certificate, authority string) {
	t.Helper()
	ca, err := devca.New(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if certificate, err = ca.Server(time.Hour, "api.example.com"); err != nil {
		t.Fatal(err)
	}
	return certificate, "\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {namespace: inproc, name: outside}\ndata:\n  ca.crt: |\n    " +
		strings.ReplaceAll(strings.TrimSpace(string(ca.Bundle().PEM())), "\n", "\n    ") + "\n"
}

// xbackend registers a host of Namespace or another one.
func xbackend(namespace, name, hostname string, port uint16, more string) string {
	return fmt.Sprintf(`
---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackend
metadata: {namespace: %s, name: %s}
spec:
  type: ExternalHostname
  externalHostname: {hostname: %s}
  port: {number: %d}
%s
`, namespace, name, hostname, port, more)
}

func outboundPolicy(policy mesh.OutboundPolicy) string {
	return fmt.Sprintf("\n---\napiVersion: mesh.leno.dev/v1alpha1\nkind: Mesh\nmetadata: {name: default}\nspec: {outbound: {policy: %s}}\n", policy)
}

// sightings keeps what the control plane heard of.
type sightings struct {
	mu  sync.Mutex // guards all
	all []mesh.Sighting
}

func (s *sightings) note(one mesh.Sighting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, one)
}

func (s *sightings) has(to netip.AddrPort, host string, policy mesh.OutboundPolicy) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.all, func(one mesh.Sighting) bool {
		return one.To == to && one.Host == host && one.Policy == policy && one.Pod.Namespace == inproc.Namespace
	})
}

// egress is a mesh with hosts outside of it.
type egress struct {
	*inproc.Mesh
	seen          sightings
	secure, plain outside
	manifests     []string
}

func startEgress(t *testing.T, policy mesh.OutboundPolicy) *egress {
	t.Helper()
	certificate, authority := apiCertificate(t)
	e := &egress{secure: startOutside(t, certificate), plain: startOutside(t, nil)}
	e.manifests = []string{
		inproc.Shop, authority,
		xbackend(inproc.Namespace, "api", "api.example.com", e.secure.port, `
  tls:
    mode: ServerOnly
    validation: {hostname: api.example.com, caCertificateRefs: [{group: "", kind: ConfigMap, name: outside}]}`),
		xbackend(inproc.Namespace, "plain", "plain.example.com", e.plain.port, ""),
		xbackend(inproc.Namespace, "db", "db.example.com", e.secure.port, "  protocol: TCP"),
		xbackend("elsewhere", "api", "elsewhere.example.com", e.secure.port, ""),
	}
	e.Mesh = inproc.Start(t, inproc.Options{Unknown: e.seen.note, Lookup: func(_ context.Context, host string) ([]netip.Addr, error) {
		if !strings.HasSuffix(host, ".example.com") {
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}}, append(e.manifests, outboundPolicy(policy))...)
	return e
}

// shake begins TLS with a server name through the sidecar.
func (e *egress) shake(t *testing.T, to netip.AddrPort, name string) (*tls.Conn, error) {
	t.Helper()
	conn, err := net.Dial("tcp", e.Pod("client").Way(t, to))
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = conn.Close() })
	config := &tls.Config{ServerName: name, InsecureSkipVerify: true} //nolint:gosec // the certificate is looked at by tests
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	secured := tls.Client(conn, config)
	return secured, secured.HandshakeContext(ctx)
}

// closed tells that the other side closed a connection, rather than that a test's patience was at its end.
func closed(err error) bool {
	return err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded)
}

// TestOutboundDeny: nothing but Services and pods is reached, whatever is registered.
func TestOutboundDeny(t *testing.T) {
	e := startEgress(t, mesh.OutboundDeny)
	if _, err := e.shake(t, e.secure.dialled, "api.example.com"); !closed(err) {
		t.Errorf("TLS: %v, want a closed connection", err)
	}
	client := e.Client("client")
	if answer := client.Do(http.MethodGet, e.Pod("client").Way(t, e.plain.dialled), "/", "plain.example.com"); answer.Err == nil {
		t.Errorf("HTTP: %+v, want a closed connection", answer)
	}
	if answer := client.Get("catalog-v1:80/"); answer.Status != http.StatusOK {
		t.Errorf("a Service: %+v", answer)
	}
	e.Eventually("the control plane knows", func() bool { return e.seen.has(e.secure.dialled, "", mesh.OutboundDeny) })
}

// TestOutboundAllow: unknown addresses are reached as they were dialled, whatever name is said there.
func TestOutboundAllow(t *testing.T) {
	e := startEgress(t, mesh.OutboundAllow)
	address := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), e.secure.port)
	conn, err := e.shake(t, address, "other.example.com")
	if err != nil {
		t.Fatal(err)
	}
	if names := conn.ConnectionState().PeerCertificates[0].DNSNames; !slices.Contains(names, "api.example.com") {
		t.Errorf("the server is %v", names)
	}
	e.Eventually("the control plane knows", func() bool { return e.seen.has(address, "", mesh.OutboundAllow) })
}

// TestOutboundRegistryOnlyTLS: a server name that the own namespace registers at that port leads to the host, in the application's own
// TLS; nothing else is let through.
func TestOutboundRegistryOnlyTLS(t *testing.T) {
	e := startEgress(t, mesh.OutboundRegistryOnly)
	quiet, err := net.Dial("tcp", e.Pod("client").Way(t, e.secure.dialled)) // says nothing, while the others are served
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = quiet.Close() }()
	for _, name := range []string{"api.example.com", "API.example.com"} {
		conn, err := e.shake(t, e.secure.dialled, name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if names := conn.ConnectionState().PeerCertificates[0].DNSNames; !slices.Contains(names, "api.example.com") {
			t.Errorf("%s: the server is %v", name, names)
		}
	}
	for what, tc := range map[string]struct {
		to   netip.AddrPort
		name string
	}{
		"a name that nobody registers":   {e.secure.dialled, "other.example.com"},
		"a name of another namespace":    {e.secure.dialled, "elsewhere.example.com"},
		"a name of protocol TCP":         {e.secure.dialled, "db.example.com"},
		"no name":                        {e.secure.dialled, ""},
		"the right name at another port": {e.plain.dialled, "api.example.com"},
		"at a port without any name":     {netip.MustParseAddrPort("192.0.2.7:9"), "api.example.com"},
	} {
		if _, err := e.shake(t, tc.to, tc.name); !closed(err) {
			t.Errorf("%s: %v, want a closed connection", what, err)
		}
		e.Eventually("the control plane knows of "+what, func() bool { return e.seen.has(tc.to, tc.name, mesh.OutboundRegistryOnly) })
	}
	if err := quiet.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := quiet.Read(make([]byte, 1)); !closed(err) {
		t.Errorf("a silent client: %v, want a closed connection", err)
	}
	if e.seen.has(e.secure.dialled, "api.example.com", mesh.OutboundRegistryOnly) {
		t.Error("a connection that was let through counts as refused")
	}
}

// TestOutboundRegistryOnlyHTTP: each request is judged by its own host, in both versions of HTTP, and goes in TLS where the XBackend
// says so.
func TestOutboundRegistryOnlyHTTP(t *testing.T) {
	e := startEgress(t, mesh.OutboundRegistryOnly)
	for _, version := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(strings.ReplaceAll(version, "/", ""), func(t *testing.T) {
			transport := &http.Transport{Protocols: new(http.Protocols), MaxConnsPerHost: 1} // all requests on one connection
			transport.Protocols.SetHTTP1(version == "HTTP/1.1")
			transport.Protocols.SetUnencryptedHTTP2(version == "HTTP/2.0")
			defer transport.CloseIdleConnections()
			client := http.Client{Transport: transport, Timeout: 20 * time.Second}
			ask := func(way, host string) (int, string) {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+way+"/", nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Host = host
				resp, err := client.Do(req)
				if err != nil {
					t.Fatalf("%s: %v", host, err)
				}
				defer func() { _ = resp.Body.Close() }()
				body, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Fatalf("%s: %v", host, err)
				}
				return resp.StatusCode, string(body)
			}
			plain, secure := e.Pod("client").Way(t, e.plain.dialled), e.Pod("client").Way(t, e.secure.dialled)
			nowhere := e.Pod("client").Way(t, netip.MustParseAddrPort("192.0.2.7:9"))
			for _, tc := range []struct {
				way, host string
				status    int
				body      string
			}{
				{plain, "plain.example.com", 200, "plain.example.com " + version + " tls=false"},
				{plain, "other.example.com", 403, "externalHostname.hostname"},
				{plain, "Plain.Example.com:80", 200, "tls=false"},
				{plain, "api.example.com", 403, fmt.Sprintf("port.number %d", e.plain.port)},
				{plain, "192.0.2.7", 403, "not registered"},
				{plain, "plain.example.com", 200, "tls=false"},
				{secure, "elsewhere.example.com", 403, "not registered"},
				{secure, "api.example.com", 200, "tls=true"},
				{secure, "db.example.com", 403, "not registered"},
				{nowhere, "plain.example.com", 403, "port.number 9"},
			} {
				if status, body := ask(tc.way, tc.host); status != tc.status || !strings.Contains(body, tc.body) {
					t.Errorf("%s: %d %q, want %d with %q", tc.host, status, body, tc.status, tc.body)
				}
			}
		})
	}
	e.Eventually("the control plane knows of a host", func() bool { return e.seen.has(e.plain.dialled, "other.example.com", mesh.OutboundRegistryOnly) })
	e.Eventually("the control plane knows of an address", func() bool { return e.seen.has(e.plain.dialled, "", mesh.OutboundRegistryOnly) })
	e.refusesTunnels(t)
	e.followsTheRegistry(t)
}

// refusesTunnels: what an HTTP proxy at an unknown address would be asked for is refused as well.
func (e *egress) refusesTunnels(t *testing.T) {
	t.Helper()
	for host, want := range map[string]int{"tunnel.example.com": 403, "plain.example.com": 405} {
		conn, in := dial(t, e.Pod("client").Way(t, e.plain.dialled))
		if _, err := fmt.Fprintf(conn, "CONNECT %s:443 HTTP/1.1\r\nHost: %s:443\r\n\r\n", host, host); err != nil {
			t.Fatal(err)
		}
		if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != want {
			t.Errorf("CONNECT %s: %v, %v; want %d", host, resp, err, want)
		}
	}
}

// followsTheRegistry: an open connection goes by the newest registrations.
func (e *egress) followsTheRegistry(t *testing.T) {
	t.Helper()
	conn, in := dial(t, e.Pod("client").Way(t, e.plain.dialled))
	status := func() int { return askHost(t, conn, in, "new.example.com") }
	if got := status(); got != 403 {
		t.Errorf("before it is registered: %d", got)
	}
	e.Apply(append(e.manifests, outboundPolicy(mesh.OutboundRegistryOnly),
		xbackend(inproc.Namespace, "new", "new.example.com", e.plain.port, ""))...)
	e.Eventually("the new host is reached", func() bool { return status() == 200 })
	e.Apply(append(e.manifests, outboundPolicy(mesh.OutboundRegistryOnly))...)
	e.Eventually("it is not reached any more", func() bool { return status() == 403 })
}

// askHost asks a host over an open connection.
func askHost(t *testing.T, conn net.Conn, in *bufio.Reader, host string) int {
	t.Helper()
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}
