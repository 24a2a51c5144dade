package inproc_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/leno-mesh/leno/internal/enroll"
	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/test/inproc"
)

// TestBadRoutes: each mistake is answered and named, and hurts no other rule or route.
func TestBadRoutes(t *testing.T) {
	good := inproc.Route("good", "catalog-v1", `
  - backendRefs: [{name: catalog-v1, port: 80}]`)
	for name, c := range map[string]struct{ rule, status string }{
		"missing backend":  {"backendRefs: [{name: nobody, port: 80}]", "ResolvedRefs=false BackendNotFound"},
		"missing port":     {"backendRefs: [{name: catalog-v1, port: 8123}]", "ResolvedRefs=false BackendNotFound"},
		"unknown kind":     {"backendRefs: [{group: example.com, kind: Bucket, name: b, port: 80}]", "ResolvedRefs=false InvalidKind"},
		"unknown filter":   {"filters: [{type: ExtensionRef, extensionRef: {group: example.com, kind: Filter, name: f}}], backendRefs: [{name: catalog-v1, port: 80}]", "PartiallyInvalid=true UnsupportedValue"},
		"forbidden mirror": {"filters: [{type: RequestMirror, requestMirror: {backendRef: {name: catalog-v1, port: 8123}}}], backendRefs: [{name: nobody, port: 80}]", "ResolvedRefs=false"},
	} {
		t.Run(name, func(t *testing.T) {
			m := inproc.Start(t, inproc.Options{}, inproc.Shop, good, inproc.Route("bad", "catalog", "\n  - {"+c.rule+"}\n  - matches: [{path: {value: /fine}}]\n    backendRefs: [{name: catalog-v1, port: 80}]"))
			client := m.Client("client")
			if answer := client.Get("catalog:80/"); answer.Err != nil || answer.Status != http.StatusInternalServerError {
				t.Errorf("the bad rule answers %d, %v; want 500", answer.Status, answer.Err)
			}
			if answer := client.Get("catalog:80/fine"); answer.Status != http.StatusOK {
				t.Errorf("the rule beside it answers %d", answer.Status)
			}
			if answer := client.Get("catalog-v1:80/"); answer.Status != http.StatusOK {
				t.Errorf("the other route answers %d", answer.Status)
			}
			if got := m.Status("bad"); !strings.Contains(got, c.status) {
				t.Errorf("status %s, want %s", got, c.status)
			}
			if got := m.Status("good"); strings.Contains(got, "Accepted=false") || strings.Contains(got, "ResolvedRefs=false") {
				t.Errorf("status of the other route %s", got)
			}
		})
	}
}

// TestSmuggling: requests that two readers could understand differently, and oversized ones, reach no application.
func TestSmuggling(t *testing.T) {
	m := inproc.Start(t, inproc.Options{}, inproc.Shop)
	address := m.Pod("client").Address(t, "catalog-v1:80")
	for name, c := range map[string]struct {
		request string
		status  int
	}{
		"CL and TE":       {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		"two lengths":     {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400},
		"obscured TE":     {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501}, // RFC 9112 section 6.1,
		"space in a name": {"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400},
		"folded header":   {"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", 400},
		"oversized":       {"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 200<<10) + "\r\n\r\n", 431},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			go func() { _, _ = io.WriteString(conn, c.request) }() // the answer may come before all is written
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != c.status {
				t.Errorf("answered %d, want %d", resp.StatusCode, c.status)
			}
		})
	}
	if got := m.Pod("catalog-v1").App.Requests(); got != 0 {
		t.Errorf("%d of them reached the application", got)
	}
	if answer := m.Client("client").Get("catalog-v1:80/"); answer.Status != 200 {
		t.Errorf("afterwards: %+v", answer)
	}
}

// connect dials the control plane as a workload does, or without a certificate.
func connect(t *testing.T, m *inproc.Mesh, src identity.Source) *grpc.ClientConn {
	t.Helper()
	bundle, err := identity.ParseBundle(m.Plane.Roots())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("passthrough:///"+m.Address(), grpc.WithTransportCredentials(credentials.NewTLS(
		identity.ManagerClientTLS(mesh.ManagerServerName, func() (*identity.Bundle, error) { return bundle, nil }, src))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestGarbageOnADS: whoever sends nonsense, or claims to be another pod, loses its stream; nobody else notices.
func TestGarbageOnADS(t *testing.T) {
	m := inproc.Start(t, inproc.Options{}, inproc.Shop, inproc.Split(100, 0))
	load := m.Client("client").Load("catalog:80/")
	own := m.Pod("client").Sidecar.Identity()
	node := func(pod *inproc.Pod) string { return "sidecar~" + pod.String() }
	for name, c := range map[string]struct {
		src  identity.Source
		node string
		url  string
		code codes.Code
	}{
		"no certificate":    {nil, node(m.Pod("client")), "type.googleapis.com/envoy.config.listener.v3.Listener", codes.PermissionDenied},
		"another pod":       {own, node(m.Pod("catalog-v1")), "type.googleapis.com/envoy.config.listener.v3.Listener", codes.PermissionDenied},
		"unknown node form": {own, "garbage", "type.googleapis.com/envoy.config.listener.v3.Listener", codes.InvalidArgument},
		"unknown type":      {own, node(m.Pod("client")), "type.googleapis.com/nonsense", codes.InvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(connect(t, m, c.src)).DeltaAggregatedResources(ctx)
			if err != nil {
				t.Fatal(err)
			}
			request := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: c.url, ResourceNamesSubscribe: []string{"inbound"}}
			request.Node = inproc.Node(c.node)
			_ = stream.Send(request) // the answer says what became of it
			if _, err = stream.Recv(); status.Code(err) != c.code {
				t.Errorf("got %v, want %s", err, c.code)
			}
		})
	}
	load.More(m, 10)
	load.Lossless(t)
}

// TestForeignIdentity: the token of one pod buys no certificate of another service account.
func TestForeignIdentity(t *testing.T) {
	m := inproc.Start(t, inproc.Options{}, inproc.Shop)
	token := m.Plane.Token(enroll.Caller{Namespace: inproc.Namespace, ServiceAccount: "client", Pod: "client"})
	for account, want := range map[string]string{"client": "", "catalog-v1": "PermissionDenied"} {
		if got := m.Enrol(account, token); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s with the token of client: %q, want %q", account, got, want)
		}
	}
	if got := m.Enrol("client", "0123"); !strings.Contains(got, "Unauthenticated") {
		t.Errorf("an unknown token: %q", got)
	}
}
