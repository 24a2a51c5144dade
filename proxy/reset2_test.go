package proxy_test

import (
	"bytes"
	"net/http"
	"sync/atomic"
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

// A stream that is broken right after its head leaves a client of HTTP/1.1 with an answer where the head has not left yet, and that is
// how it is as long as both come together and the proxy is not between them; else the connection ends. It is not asked again.
func TestBrokenAfterTheHead(t *testing.T) {
	const tries = 1000
	var seen atomic.Int32
	backend := backend2(t, func(p *peer2, _ int) {
		var both bytes.Buffer
		framer := xhttp2.NewFramer(&both, nil)
		for f := p.frame(); f != nil; f = p.frame() {
			head, ok := f.(*xhttp2.MetaHeadersFrame)
			if !ok {
				continue
			}
			seen.Add(1)
			both.Reset()
			p.do(0, framer.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: head.StreamID, BlockFragment: p.fields(":status", "200"), EndHeaders: true}))
			p.do(0, framer.WriteRSTStream(head.StreamID, xhttp2.ErrCodeRefusedStream))
			p.do(p.Write(both.Bytes()))
		}
	})
	web := facing(t, backend, config.HTTP2Only)
	for n := int32(1); n <= tries; n++ {
		conn := web.dial(cartService)
		resp, _, err := get(conn, "/")
		_ = conn.Close()
		if got := seen.Load(); got != n {
			t.Fatalf("the backend has seen %d requests, %d were sent", got, n)
		}
		if resp != nil && resp.StatusCode == http.StatusBadGateway {
			return
		}
		if err == nil {
			t.Fatalf("status %d with a whole body", resp.StatusCode)
		}
	}
	t.Errorf("none of %d clients got an answer", tries)
}
