package proxy_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

// TestReasonPhrases: HTTP/2 has none, clients of HTTP/1.1 get the usual ones.
func TestReasonPhrases(t *testing.T) {
	web := newMesh(t).pod("web", netip.AddrPort{}, nil)
	web.knows(cartService, config.Detect, config.Endpoint{Address: app2(t, func(w http.ResponseWriter, r *http.Request) {
		code := 0
		_, _ = fmt.Sscanf(r.URL.Path, "/%d", &code)
		w.WriteHeader(code)
	})})
	web.control.change(func(c *config.Config) { c.Clusters[cartService.String()].HTTP = config.HTTP2Only })
	client := client1(web, cartService)
	for code, want := range map[int]string{200: "200 OK", 201: "201 Created", 415: "415 Unsupported Media Type", 599: "599 "} {
		if resp, _ := do(t, client, request(t, "GET", fmt.Sprint("/", code), nil)); resp.Status != want {
			t.Errorf("%q, want %q", resp.Status, want)
		}
	}
}

// TestClientsThatOfferEitherVersion: Envoy's TLS offers both where it passes on what its client speaks, and then speaks either.
func TestClientsThatOfferEitherVersion(t *testing.T) {
	m := newMesh(t)
	cart := m.pod("cart", app2(t, talkative), nil)
	envoy := m.pod("envoy", netip.AddrPort{}, nil) // stands for its identity
	dial := func() net.Conn {
		conn := tls.Client(must(net.Dial("tcp", cart.address().String())), identity.ClientTLS(envoy.source, cart.id, "leno-http/1.1", "leno-h2"))
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	resp, body, err := get(dial(), "/one")
	if err != nil || body != "GET cart /one" || resp.Header.Get("X-Proto") != "HTTP/1.1" {
		t.Errorf("%v, %q, %v", resp, body, err)
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols, DialContext: func(context.Context, string, string) (net.Conn, error) { return dial(), nil }}
	t.Cleanup(transport.CloseIdleConnections)
	resp, text := do(t, &http.Client{Transport: transport}, request(t, "GET", "/two", nil))
	if string(text) != "GET cart.shop /two" || resp.Header.Get("X-Proto") != "HTTP/2.0" {
		t.Errorf("%v, %q", resp, text)
	}
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
		wait(t, &cart.records, func() []telemetry.Request { return cart.records.requests }, func(r telemetry.Request) bool {
			return r.Protocol == protocol && r.MTLS && r.Source.Identity == envoy.id.String()
		})
	}
}

// TestResetCodes: what a backend resets a call with becomes the status that gRPC has for it.
func TestResetCodes(t *testing.T) {
	for code, want := range map[http2.ErrCode]codes.Code{
		http2.ErrCodeProtocol: codes.Internal, http2.ErrCodeInternal: codes.Unavailable, http2.ErrCodeRefusedStream: codes.Unavailable,
		http2.ErrCodeCancel: codes.Canceled, http2.ErrCodeEnhanceYourCalm: codes.ResourceExhausted,
		http2.ErrCodeInadequateSecurity: codes.PermissionDenied,
	} {
		t.Run(code.String(), func(t *testing.T) {
			web := newMesh(t).pod("web", netip.AddrPort{}, nil)
			web.knows(cartService, config.HTTP2, config.Endpoint{Address: resetter(t, code)})
			client, _ := web.stub(cartService)
			_, err := client.UnaryCall(limited(t), &testpb.SimpleRequest{})
			if s := status.Convert(err); s.Code() != want || !strings.HasSuffix(s.Message(), ": "+code.String()) {
				t.Errorf("%v, want %v", err, want)
			}
			web.recorded("UnaryCall", func(r telemetry.Request) bool {
				return r.GRPC == fmt.Sprint(uint32(want)) && r.Flag == "upstream_reset"
			})
		})
	}
}

// resetter is an application that resets each stream.
func resetter(t *testing.T, code http2.ErrCode) netip.AddrPort {
	return tcpApp(t, func(conn net.Conn) {
		defer conn.Close()
		if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		s := newStream2(conn)
		s.heads = func(id uint32, _ http.Header) error { return s.framer.WriteRSTStream(id, code) }
		if err := s.framer.WriteSettings(); err == nil {
			_ = s.read()
		}
	})
}
