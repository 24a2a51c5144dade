package inproc_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/test/inproc"
)

// TestXBackend: a sidecar sends requests for a Service to a host outside of the mesh, in TLS, once that has proved its name.
func TestXBackend(t *testing.T) {
	certificate, authority := apiCertificate(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	outside := &http.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{*certificate}}, ErrorLog: log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-From-App", "outside")
			_ = json.NewEncoder(w).Encode(inproc.Seen{Owner: "outside", Host: r.Host, Path: r.URL.Path}) // the client may be gone
		}),
	}
	go func() { _ = outside.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { _ = outside.Close() })
	xbackend := func(name, hostname string) string {
		return fmt.Sprintf(`
---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackend
metadata: {namespace: inproc, name: %s}
spec:
  type: ExternalHostname
  externalHostname: {hostname: api.example.com}
  port: {number: %d}
  protocol: HTTP11
  tls:
    mode: ServerOnly
    validation:
      hostname: %s
      caCertificateRefs: [{group: "", kind: ConfigMap, name: outside}]
`, name, listener.Addr().(*net.TCPAddr).Port, hostname)
	}
	ref := func(name string) string {
		return "{group: gateway.networking.x-k8s.io, kind: XBackend, name: " + name + "}"
	}
	m := inproc.Start(t, inproc.Options{Lookup: func(_ context.Context, host string) ([]netip.Addr, error) {
		if host != "api.example.com" {
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}}, inproc.Shop, authority, xbackend("api", "api.example.com"), xbackend("impostor", "other.example.com"), inproc.Route("catalog", "catalog", `
  - matches: [{path: {value: /out}}]
    filters: [{type: URLRewrite, urlRewrite: {hostname: api.example.com}}]
    backendRefs: [`+ref("api")+`]
  - matches: [{path: {value: /asked}}]
    filters: [{type: ExternalAuth, externalAuth: {protocol: HTTP, backendRef: `+ref("api")+`, http: {}}}]
    backendRefs: [{name: catalog-v1, port: 80}]
  - matches: [{path: {value: /unasked}}]
    filters: [{type: ExternalAuth, externalAuth: {protocol: HTTP, backendRef: `+ref("impostor")+`, http: {}}}]
    backendRefs: [{name: catalog-v1, port: 80}]
  - matches: [{path: {value: /impostor}}]
    backendRefs: [`+ref("impostor")+`]
  - matches: [{path: {value: /missing}}]
    backendRefs: [`+ref("missing")+`]
  - backendRefs: [{name: catalog-v1, port: 80}]`))
	client := m.Client("client")
	if answer := client.Get("catalog:80/out/a"); answer.Status != 200 || answer.Seen.Owner != "outside" || answer.Seen.Host != "api.example.com" {
		t.Errorf("%+v", answer)
	}
	for path, want := range map[string]int{"/impostor": 503, "/missing": 500, "/": 200, "/asked": 200, "/unasked": 503} {
		if answer := client.Get("catalog:80" + path); answer.Status != want {
			t.Errorf("%s: %d, want %d", path, answer.Status, want)
		}
	}
	for object, want := range map[string]string{"api": "Accepted=true Accepted, ResolvedRefs=true ResolvedRefs", "catalog": "ResolvedRefs=false BackendNotFound"} {
		if got := m.Status(object); !strings.Contains(got, want) {
			t.Errorf("%s has status %s, want %s", object, got, want)
		}
	}
}
