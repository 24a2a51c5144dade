package proxy_test

import (
	"testing"

	xhttp2 "golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/leno-mesh/leno/proxy/config"
)

// A connection that ends under a call is no error of the backend's: trying again may help.
func TestLostConnectionIsUnavailable(t *testing.T) {
	backend := backend2(t, func(p *peer2, _ int) { p.frame() })
	client, _ := facing(t, backend, config.HTTP2Only).stub(cartService)
	_, err := client.UnaryCall(limited(t), &testpb.SimpleRequest{})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("%v", err)
	}
}

// REFUSED_STREAM after a head contradicts it, and is not passed on: clients send such requests again.
func TestRefusedAfterTheHead(t *testing.T) {
	backend := backend2(t, func(p *peer2, _ int) {
		head, ok := p.frame().(*xhttp2.MetaHeadersFrame)
		if !ok {
			return
		}
		p.headers(head.StreamID, false, ":status", "200")
		p.do(0, p.WriteRSTStream(head.StreamID, xhttp2.ErrCodeRefusedStream))
		for p.frame() != nil {
		}
	})
	c := dial2(facing(t, backend, config.HTTP2Only), cartService)
	defer c.Close()
	c.get(1, "/")
	if status := c.status(1); status != "200" {
		t.Fatalf("status %q", status)
	}
	for {
		f := c.frame()
		if f == nil {
			t.Fatal("the connection has ended")
		}
		if reset, ok := f.(*xhttp2.RSTStreamFrame); ok {
			if reset.ErrCode != xhttp2.ErrCodeInternal {
				t.Errorf("reset with %v", reset.ErrCode)
			}
			return
		}
	}
}
