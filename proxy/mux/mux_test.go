package mux

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/msg"
)

// peer is the other end of a server's connection, written frame by frame.
type peer struct {
	net.Conn
	*xhttp2.Framer

	mu     sync.Mutex // guards the rest
	goAway []xhttp2.ErrCode
	resets []xhttp2.ErrCode
}

// hush answers nothing and forgets what it does not keep.
func (p *peer) hush() {
	r := xhttp2.NewFramer(nil, p.Conn)
	for {
		f, err := r.ReadFrame()
		if err != nil {
			return
		}
		p.mu.Lock()
		switch f := f.(type) {
		case *xhttp2.GoAwayFrame:
			p.goAway = append(p.goAway, f.ErrCode)
		case *xhttp2.RSTStreamFrame:
			p.resets = append(p.resets, f.ErrCode)
		}
		p.mu.Unlock()
	}
}

// owner answers with 200 and a body, and consumes what it gets.
type owner struct {
	c    *Conn
	id   uint32
	body []byte

	mu   sync.Mutex // guards got
	got  int
	code http2.Code
}

func (o *owner) Response(uint32, *msg.Response, bool) {}
func (o *owner) Trailers(uint32, msg.Fields)          {}
func (o *owner) Reset(_ uint32, code http2.Code, _ bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.code = code
}
func (o *owner) Writable(uint32) { o.body = o.body[o.c.Send(o.id, o.body, true):] }
func (o *owner) Data(_ uint32, p []byte, _ bool) {
	o.mu.Lock()
	o.got += len(p)
	o.mu.Unlock()
	o.c.Consume(o.id, len(p))
}

type serving struct {
	peer  *peer
	owner *owner
	ended chan error
	conn  *Conn
}

// serve starts a server whose one peer has sent preface and SETTINGS. body is what each request is answered with; 0: nothing is.
func serve(t *testing.T, body int, opts Options) *serving {
	t.Helper()
	client, server := net.Pipe()
	s := &serving{peer: &peer{Conn: client}, owner: &owner{}, ended: make(chan error, 1)}
	s.peer.Framer = xhttp2.NewFramer(client, nil)
	s.peer.AllowIllegalWrites = true
	opts.Accept = func(c *Conn, ev *http2.Event) {
		s.owner.c, s.owner.id, s.owner.body = c, ev.Stream, make([]byte, body)
		c.Own(ev.Stream, s.owner, 0)
		if body > 0 {
			c.Respond(ev.Stream, &msg.Response{Status: 200, Announced: -1}, false)
			s.owner.Writable(0)
		}
	}
	opts.Ended = func(_ *Conn, why error) { s.ended <- why }
	s.conn = Server(server, opts)
	go s.conn.Serve()
	go s.peer.hush()
	if _, err := io.WriteString(client, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := s.peer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return s
}

func fields(pairs ...string) []byte {
	var b writerTo
	e := hpack.NewEncoder(&b)
	for i := 0; i < len(pairs); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return b
}

type writerTo []byte

func (w *writerTo) Write(p []byte) (int, error) { *w = append(*w, p...); return len(p), nil }

func (s *serving) request(t *testing.T, id uint32, end bool) {
	t.Helper()
	block := fields(":method", "POST", ":scheme", "http", ":authority", "cart", ":path", "/")
	if err := s.peer.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true, EndStream: end}); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

// alive fails the test where the connection has ended.
func (s *serving) alive(t *testing.T) {
	t.Helper()
	synctest.Wait()
	select {
	case why := <-s.ended:
		t.Fatalf("the connection has ended: %v", why)
	default:
	}
}

// over waits for the end and returns when it came and why.
func (s *serving) over() (after time.Duration, why error) {
	start := time.Now()
	why = <-s.ended
	_ = s.peer.Close()
	synctest.Wait()
	return time.Since(start), why
}

// A bulk transfer whose reads never end where frames do is not a frame that takes too long.
func TestBulkTransferOutlivesHeaderTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, 0, Options{})
		s.request(t, 1, false)
		frame := append([]byte{0, 4, 0, 0, 0, 0, 0, 0, 1}, make([]byte, 1024)...)
		_, _ = s.peer.Write(frame[:500])
		for range 60 {
			time.Sleep(time.Second)
			_, _ = s.peer.Write(append(append([]byte{}, frame[500:]...), frame[:500]...))
			s.alive(t)
		}
		if s.owner.got != 60*1024 {
			t.Errorf("%d octets came", s.owner.got)
		}
		for range http2.DataTime/time.Second/5 - 1 {
			time.Sleep(5 * time.Second)
			_, _ = s.peer.Write([]byte{0})
			s.alive(t) // a slow frame of DATA
		}
		if _, why := s.over(); Flood(why) != "slow" {
			t.Errorf("ended by %v", why)
		}
	})
}

func TestSlowHeads(t *testing.T) {
	for name, trickle := range map[string]func(*peer) error{
		"CONTINUATION now and then": func(p *peer) error {
			if err := p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: fields(":method", "GET")}); err != nil {
				return err
			}
			for {
				time.Sleep(6 * time.Second)
				if err := p.WriteContinuation(1, false, nil); err != nil {
					return err
				}
			}
		},
		"one octet of a frame each second": func(p *peer) error {
			if _, err := p.Write([]byte{0, 1, 0, 1, 4, 0, 0, 0, 1}); err != nil {
				return err
			}
			for {
				time.Sleep(time.Second)
				if _, err := p.Write([]byte{0}); err != nil {
					return err
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serve(t, 0, Options{})
				go func() { _ = trickle(s.peer) }()
				after, why := s.over()
				if Flood(why) != "slow" || after > http2.HeaderTime+lastWords+linger {
					t.Errorf("ended by %v after %v", why, after)
				}
				if len(s.peer.goAway) != 1 || s.peer.goAway[0] != xhttp2.ErrCodeEnhanceYourCalm {
					t.Errorf("GOAWAY %v", s.peer.goAway)
				}
				time.Sleep(10 * time.Second) // the trickle notices
			})
		})
	}
}

func TestPrefaceThatNeverComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		ended := make(chan error, 1)
		go Server(server, Options{Ended: func(_ *Conn, why error) { ended <- why }}).Serve()
		go func() { _, _ = io.Copy(io.Discard, client) }()
		_, _ = io.WriteString(client, "PRI * HT")
		start := time.Now()
		if why := <-ended; Flood(why) != "slow" || time.Since(start) > http2.HeaderTime+time.Second {
			t.Errorf("ended by %v after %v", why, time.Since(start))
		}
		_ = client.Close()
	})
}

// A window that stays closed ends its stream, not the connection; one that opens a little now and then does not.
func TestClosedWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stalled := 0
		s := serve(t, 1<<20, Options{Stalled: func(n int) { stalled += n }})
		s.request(t, 1, true)
		for range 60 {
			time.Sleep(tick)
			_ = s.peer.WritePing(true, [8]byte{})
			_ = s.peer.WriteWindowUpdate(0, 100)
			_ = s.peer.WriteWindowUpdate(1, 100)
			s.alive(t)
		}
		if s.owner.code != 0 {
			t.Fatalf("a stream that moves was reset by %v", s.owner.code)
		}
		for range 15 {
			time.Sleep(tick)
			_ = s.peer.WritePing(true, [8]byte{})
		}
		s.alive(t)
		if s.owner.code != http2.Cancel || stalled != 1 || len(s.peer.resets) != 1 {
			t.Errorf("code %v, %d counted, resets %v", s.owner.code, stalled, s.peer.resets)
		}
		_ = s.peer.Close()
		<-s.ended
	})
}

func TestPeersThatAnswerNoPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, 0, Options{})
		s.request(t, 1, true)
		after, why := s.over()
		if !errors.Is(why, ErrPing) || Flood(why) != "ping_timeout" || after > 4*tick {
			t.Errorf("ended by %v after %v", why, after)
		}
		if s.owner.code != http2.Lost {
			t.Errorf("owner was told %v", s.owner.code)
		}
	})
}

// A peer that neither reads nor goes away holds its connection for a moment only once that has ended.
func TestLastWordsNeedNotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		ended := make(chan error, 1)
		go Server(server, Options{Ended: func(_ *Conn, why error) { ended <- why }}).Serve()
		_, _ = io.WriteString(client, "GET / HTTP/1.1\r\n\r\nSM\r\n\r\n")
		start := time.Now()
		if <-ended; time.Since(start) > lastWords+linger {
			t.Errorf("ended after %v", time.Since(start))
		}
		_ = client.Close()
	})
}

func TestIdleConnectionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, 10, Options{Idle: time.Minute})
		s.request(t, 1, true)
		if after, why := s.over(); !errors.Is(why, ErrDone) || after < time.Minute-tick || after > time.Minute+3*tick {
			t.Errorf("ended by %v after %v", why, after)
		}
		if len(s.peer.goAway) != 1 || s.peer.goAway[0] != xhttp2.ErrCodeNo {
			t.Errorf("GOAWAY %v", s.peer.goAway)
		}
	})
}

// A connection at rest keeps no buffers of its busy times.
func TestIdleConnectionsHoldNoBuffers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, 200<<10, Options{})
		_ = s.peer.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 1 << 20})
		_ = s.peer.WriteWindowUpdate(0, 1<<20)
		s.request(t, 1, true)
		s.alive(t)
		s.conn.mu.Lock()
		if n := cap(s.conn.m.Out()); n > smallBuffer || s.conn.m.Streams() != 0 {
			t.Errorf("%d octets are kept, %d streams are open", n, s.conn.m.Streams())
		}
		s.conn.mu.Unlock()
		_ = s.peer.Close()
		<-s.ended
	})
}

// The reader gives its buffer back although nothing comes after the last word of a response.
func TestReadersAtRestHoldNoBuffers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, 0, Options{})
		for _, id := range []uint32{1, 3} {
			s.request(t, id, true)
			synctest.Wait()
			s.conn.Respond(id, &msg.Response{Status: 204, Announced: -1}, true)
			time.Sleep(3 * tick)
			synctest.Wait()
			if in := &s.conn.in; in.buf != nil || in.deadline || in.look {
				t.Errorf("after request %d: a buffer of %d octets, a deadline: %v", id, len(in.buf), in.deadline)
			}
		}
		s.alive(t)
		_ = s.peer.Close()
		<-s.ended
	})
}
