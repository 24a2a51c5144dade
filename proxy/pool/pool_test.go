package pool

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a dialer whose connections end in memory; the peer's ends are kept.
type pipes struct {
	mu    sync.Mutex
	peers []net.Conn
	err   error
	block bool
}

func (p *pipes) Dial(ctx context.Context, t Target) (net.Conn, error) {
	if p.block {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if p.err != nil {
		return nil, p.err
	}
	here, there := net.Pipe()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.peers = append(p.peers, there)
	return here, nil
}

// ended tells whether the peer of the n-th connection sees its end.
func (p *pipes) ended(n int) bool {
	p.peers[n].SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := p.peers[n].Read(make([]byte, 1))
	return errors.Is(err, io.EOF)
}

func at(s string) Target { return Target{Address: netip.MustParseAddrPort(s)} }

var target = at("10.0.0.1:80")

func get(t *testing.T, p *Pool, target Target) *Conn {
	t.Helper()
	c, err := p.Get(context.Background(), target, time.Now(), false)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestReuseIsLastInFirstOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Dialer: &pipes{}})
		defer p.Close()
		one, two := get(t, p, target), get(t, p, target)
		if one.Reused || one == two {
			t.Fatal("a connection in use was shared")
		}
		p.Put(one, time.Now())
		p.Put(two, time.Now())
		if c := get(t, p, target); c != two || !c.Reused {
			t.Error("the warmest connection is not used first")
		} else {
			c.Close()
		}
		if c, _ := p.Get(context.Background(), target, time.Now(), true); c == one || c.Reused {
			t.Error("a fresh connection was asked for")
		} else {
			c.Close()
		}
	})
}

func TestConnectionsAreSharedOnlyForEqualTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Dialer: &pipes{}})
		defer p.Close()
		p.Put(get(t, p, target), time.Now())
		for _, other := range []Target{at("10.0.0.1:81"), {Address: target.Address, Identity: "spiffe://a/ns/b/sa/c"}, {Address: target.Address, ALPN: "leno-tcp"}} {
			c := get(t, p, other)
			if c.Reused {
				t.Errorf("%+v got the connection of %+v", other, target)
			}
			c.Close()
		}
	})
}

func TestAges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &pipes{}
		p := New(Options{Dialer: d, MaxIdle: time.Minute, MaxLife: time.Hour})
		defer p.Close()
		p.Put(get(t, p, target), time.Now())
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		if p.Idle() != 0 || !d.ended(0) {
			t.Error("an idle connection is kept too long")
		}
		c := get(t, p, target)
		time.Sleep(time.Hour)
		p.Put(c, time.Now())
		if p.Idle() != 0 || !d.ended(1) {
			t.Error("an old connection is used again")
		}
	})
}

func TestEndpointThatLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &pipes{}
		p := New(Options{Dialer: d})
		defer p.Close()
		idle, used := get(t, p, target), get(t, p, target)
		p.Put(idle, time.Now())
		p.Keep(func(t Target) bool { return t != target })
		if p.Idle() != 0 || !d.ended(0) {
			t.Error("an idle connection to an endpoint that left is kept")
		}
		if d.ended(1) {
			t.Error("an exchange was cut")
		}
		if p.Put(used, time.Now()); p.Idle() != 0 || !d.ended(1) {
			t.Error("a connection to an endpoint that left was taken back")
		}
	})
}

func TestClosedPoolTakesNothingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &pipes{}
		p := New(Options{Dialer: d})
		c := get(t, p, target)
		p.Close()
		if p.Put(c, time.Now()); p.Idle() != 0 || !d.ended(0) {
			t.Error("taken back")
		}
	})
}

func TestBurstLeavesABoundedRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Dialer: &pipes{}, MaxIdlePerTarget: 3})
		defer p.Close()
		var conns []*Conn
		for range 10 {
			conns = append(conns, get(t, p, target))
		}
		for _, c := range conns {
			p.Put(c, time.Now())
		}
		if p.Idle() != 3 {
			t.Errorf("%d idle", p.Idle())
		}
	})
}

func TestDialErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := errors.New("refused")
		d := &pipes{err: refused}
		p := New(Options{Dialer: d})
		if _, err := p.Get(context.Background(), target, time.Now(), false); !errors.Is(err, refused) {
			t.Errorf("got %v", err)
		}
		d.block = true
		start := time.Now()
		if _, err := p.Get(context.Background(), target, time.Now(), false); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != DefaultDialTimeout {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}

type tcpDialer struct{}

func (tcpDialer) Dial(ctx context.Context, t Target) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", t.Address.String())
}

// wrapped hides the socket like a TLS connection does.
type wrapped struct{ net.Conn }

func (w wrapped) NetConn() net.Conn { return w.Conn }

func TestWhatTheKernelKnows(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, tc := range []struct {
		name        string
		act         func(net.Conn)
		quiet, gone bool
	}{
		{"silent", func(net.Conn) {}, true, false},
		{"data", func(c net.Conn) { c.Write([]byte("x")) }, false, false},
		{"end", func(c net.Conn) { c.Close() }, false, true},
		{"data and end", func(c net.Conn) { c.Write([]byte("x")); c.Close() }, false, true},
		{"reset", func(c net.Conn) { c.(*net.TCPConn).SetLinger(0); c.Close() }, false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			peer, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer peer.Close()
			conn.SetReadDeadline(time.Unix(1, 0)) // makes no difference
			tc.act(peer)
			w := NewWatch(wrapped{conn})
			deadline := time.Now().Add(5 * time.Second)
			for w.Quiet() != tc.quiet || w.Gone() != tc.gone { // loopback delivers in the background
				if time.Now().After(deadline) {
					t.Fatalf("quiet %v, gone %v", w.Quiet(), w.Gone())
				}
			}
		})
	}
}

func TestConnectionThatEndedWhileIdleIsNotHandedOut(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := New(Options{Dialer: tcpDialer{}})
	defer p.Close()
	target := at(l.Addr().String())
	c := get(t, p, target)
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	p.Put(c, time.Now())
	peer.Close()
	for w, deadline := NewWatch(c), time.Now().Add(5*time.Second); !w.Gone(); {
		if time.Now().After(deadline) {
			t.Fatal("the end never came")
		}
	}
	again := get(t, p, target)
	defer again.Close()
	if again == c || again.Reused {
		t.Error("a dead connection was handed out")
	}
}
