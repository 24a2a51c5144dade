package proxy_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const preface2 = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// peer2 is one end of an HTTP/2 connection, written and read frame by frame.
type peer2 struct {
	t testing.TB
	net.Conn
	*xhttp2.Framer
	block bytes.Buffer
	enc   *hpack.Encoder
}

func newPeer2(t testing.TB, conn net.Conn) *peer2 {
	p := &peer2{t: t, Conn: conn, Framer: xhttp2.NewFramer(conn, conn)}
	p.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	p.AllowIllegalWrites = true
	p.enc = hpack.NewEncoder(&p.block)
	return p
}

// dial2 is an application of a pod that speaks HTTP/2 frame by frame.
func dial2(p *pod, to netip.AddrPort, settings ...xhttp2.Setting) *peer2 {
	c := newPeer2(p.t, p.dial(to))
	c.do(io.WriteString(c.Conn, preface2))
	c.do(0, c.WriteSettings(settings...))
	return c
}

// do fails the test by an error of writing.
func (p *peer2) do(_ int, err error) {
	p.t.Helper()
	if err != nil {
		p.t.Error(err)
	}
}

func (p *peer2) fields(pairs ...string) []byte {
	p.block.Reset()
	for i := 0; i < len(pairs); i += 2 {
		_ = p.enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return p.block.Bytes()
}

func (p *peer2) headers(id uint32, end bool, pairs ...string) {
	p.t.Helper()
	p.do(0, p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: p.fields(pairs...), EndHeaders: true, EndStream: end}))
}

func (p *peer2) get(id uint32, path string) {
	p.t.Helper()
	p.headers(id, true, ":method", "GET", ":scheme", "http", ":authority", "cart.shop", ":path", path)
}

// frame returns the next frame of a stream, or GOAWAY; it answers SETTINGS and PING by itself. nil: the connection has ended.
func (p *peer2) frame() xhttp2.Frame {
	for {
		f, err := p.ReadFrame()
		var wrong xhttp2.StreamError
		switch {
		case errors.As(err, &wrong):
			continue
		case err != nil:
			return nil
		}
		switch f := f.(type) {
		case *xhttp2.SettingsFrame:
			if !f.IsAck() {
				_ = p.WriteSettingsAck()
			}
		case *xhttp2.PingFrame:
			if !f.IsAck() {
				_ = p.WritePing(true, f.Data)
			}
		case *xhttp2.WindowUpdateFrame:
		default:
			return f
		}
	}
}

// status waits for the final response head of a stream; "" where it was reset or the connection has ended.
func (p *peer2) status(id uint32) string {
	for {
		switch f := p.frame().(type) {
		case nil:
			return ""
		case *xhttp2.MetaHeadersFrame:
			if f.StreamID == id && len(f.Fields) > 0 && f.Fields[0].Value[0] != '1' {
				return f.Fields[0].Value
			}
		case *xhttp2.RSTStreamFrame:
			if f.StreamID == id {
				return ""
			}
		}
	}
}

// goAway waits for GOAWAY with an error; false where the connection ends without.
func (p *peer2) goAway() (code xhttp2.ErrCode, ok bool) {
	for {
		switch f := p.frame().(type) {
		case nil:
			return 0, false
		case *xhttp2.GoAwayFrame:
			if f.ErrCode != xhttp2.ErrCodeNo {
				return f.ErrCode, true
			}
		}
	}
}

// backend2 is an application that is written frame by frame. serve is called for each connection, n counts them from 0.
func backend2(t *testing.T, serve func(p *peer2, n int), settings ...xhttp2.Setting) netip.AddrPort {
	var mu sync.Mutex
	n := 0
	return tcpApp(t, func(conn net.Conn) {
		defer func() { _ = conn.Close() }()
		mu.Lock()
		mine := n
		n++
		mu.Unlock()
		got := make([]byte, len(preface2))
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != preface2 {
			return
		}
		p := newPeer2(t, conn)
		p.do(0, p.WriteSettings(settings...))
		serve(p, mine)
	})
}
