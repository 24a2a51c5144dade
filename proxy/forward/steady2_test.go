package forward_test

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/msg"
)

// end2 is one end of an HTTP/2 connection in a test: the machine on a socket, with no goroutine of its own.
type end2 struct {
	t    testing.TB
	conn net.Conn
	m    *http2.Conn
	buf  []byte
	r, w int
	out  []byte
}

func newEnd2(t testing.TB, conn net.Conn, m *http2.Conn) *end2 {
	return &end2{t: t, conn: conn, m: m, buf: make([]byte, 64<<10)}
}

func (e *end2) flush() error {
	for len(e.m.Out()) > 0 {
		e.out = e.m.TakeOut(e.out)
		if _, err := e.conn.Write(e.out); err != nil {
			return err
		}
	}
	return nil
}

// until handles frames until done says so.
func (e *end2) until(done func(*http2.Event) bool) error {
	for {
		for e.r < e.w {
			n, err := e.m.Next(e.buf[e.r:e.w], time.Now())
			if err != nil {
				return err
			}
			if n == 0 {
				break
			}
			e.r += n
			over := false
			for i := range e.m.Events {
				ev := &e.m.Events[i]
				if ev.Kind == http2.Data {
					e.m.Consume(ev.Stream, len(ev.Data))
				}
				over = done(ev) || over
			}
			if over {
				return e.flush()
			}
		}
		if err := e.flush(); err != nil {
			return err
		}
		e.w = copy(e.buf, e.buf[e.r:e.w])
		e.r = 0
		n, err := e.conn.Read(e.buf[e.w:])
		if err != nil {
			return err
		}
		e.w += n
	}
}

var (
	callRequest = msg.Request{
		Method: []byte("POST"), Authority: []byte("shop.default.svc.cluster.local"), Path: []byte("/shop.Catalog/Get"), Body: msg.Body{Kind: msg.Chunked}, Trailers: true,
		Fields: msg.Fields{{Name: []byte("content-type"), Value: []byte("application/grpc")}, {Name: []byte("user-agent"), Value: []byte("bench/1.0")}},
	}
	callResponse = msg.Response{Status: 200, Announced: -1, Body: msg.Body{Kind: msg.Chunked}, Fields: msg.Fields{{Name: []byte("content-type"), Value: []byte("application/grpc")}}}
	callStatus   = msg.Fields{{Name: []byte("grpc-status"), Value: []byte("0")}}
)

// answer2 answers every call on conn with a message of that size.
func answer2(t testing.TB, conn net.Conn, size int) {
	e := newEnd2(t, conn, http2.NewServer())
	payload := make([]byte, size)
	var left []byte
	_ = e.until(func(ev *http2.Event) bool {
		switch {
		case ev.Kind == http2.Data && ev.End:
			e.m.Respond(ev.Stream, &callResponse, false)
			left = payload[e.m.Send(ev.Stream, payload, false):]
		case ev.Kind == http2.Writable:
			left = left[e.m.Send(ev.Stream, left, false):]
		default:
			return false
		}
		if len(left) == 0 {
			e.m.SendTrailers(ev.Stream, callStatus)
		}
		return false
	})
}

// steady2 makes a world in which one call of the result is one gRPC call with an answer of that size.
func steady2(t testing.TB, size int) (exchange func()) {
	w := newWorld(t)
	b := w.backend()
	w.cluster("c", b.addr())
	w.route(config.Entry{Match: config.Match{PathKind: config.PathPrefix, Path: "/"}, Action: &config.Action{
		RequestHeaders: &config.HeaderChange{Set: []config.Header{{Name: "x-canary", Value: "no"}}},
		Backends:       []config.Backend{to("c", 1)}}})
	w.quiet = true
	go func() {
		if conn, err := b.l.Accept(); err == nil {
			answer2(t, conn, size)
		}
	}()
	e := newEnd2(t, w.serve(w.server.ServeHTTP2), http2.NewClient())
	message := make([]byte, 100)
	got := 0
	done := func(ev *http2.Event) bool {
		switch ev.Kind {
		case http2.Data:
			got += len(ev.Data)
		case http2.Reset:
			t.Errorf("reset with %v after %d bytes", ev.Code, got)
			return true
		default:
		}
		return ev.Kind == http2.Trailers
	}
	return func() {
		got = 0
		id := e.m.Open(nil, 0, &callRequest, false)
		e.m.Send(id, message, true)
		if err := e.until(done); err != nil || got != size {
			t.Fatalf("%d bytes of %d, %v", got, size, err)
		}
	}
}

func BenchmarkCall(b *testing.B) {
	for _, size := range []int{100, 64 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			exchange := steady2(b, size)
			exchange()
			b.ReportAllocs()
			for b.Loop() {
				exchange()
			}
		})
	}
}
