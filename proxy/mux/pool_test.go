package mux

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/msg"
	"github.com/leno-mesh/leno/proxy/pool"
)

// failing is a network where nobody answers.
type failing struct{ dials int }

func (f *failing) Dial(ctx context.Context, _ pool.Target) (net.Conn, error) {
	f.dials++
	<-ctx.Done()
	return nil, ctx.Err()
}

// Callers that wait for one dial share its failure: they do not try one after the other.
func TestWaitersShareAFailedDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dialer := &failing{}
		p := NewPool(dialer, nil)
		target := pool.Target{Address: netip.MustParseAddrPort("10.0.0.1:80")}
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go func() { _, _ = p.Dial(impatient, target) }()
		synctest.Wait()
		start := time.Now()
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if _, err := p.Dial(t.Context(), target); err == nil {
					t.Error("connected to nobody")
				}
			})
		}
		wg.Wait()
		if took := time.Since(start); took > pool.DefaultDialTimeout+2*time.Second || dialer.dials != 2 {
			t.Errorf("%v, %d dials", took, dialer.dials)
		}
	})
}

// inMemory is a network with one server, which answers every request after some time.
type inMemory struct {
	dials int
	after time.Duration
}

func (n *inMemory) Dial(context.Context, pool.Target) (net.Conn, error) {
	n.dials++
	client, server := net.Pipe()
	go Server(server, Options{Accept: func(c *Conn, ev *http2.Event) {
		id := ev.Stream
		c.Own(id, &owner{c: c, id: id}, 0)
		time.AfterFunc(n.after, func() { c.Respond(id, &msg.Response{Status: 200, Announced: -1}, true) })
	}}).Serve()
	return client, nil
}

// asker counts answers.
type asker struct {
	owner
	answers atomic.Int32
}

func (a *asker) Response(uint32, *msg.Response, bool) { a.answers.Add(1) }

// A connection that has lived long enough gets no new requests, finishes those that it has, and ends.
func TestLifeOfUpstreamConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := &inMemory{after: maxLife + maxLife/2}
		var ends []error
		p := NewPool(network, func(why error) { ends = append(ends, why) })
		target := pool.Target{Address: netip.MustParseAddrPort("10.0.0.1:80")}
		first, err := p.Dial(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		req := &msg.Request{Method: []byte("GET"), Authority: []byte("cart"), Path: []byte("/")}
		a := &asker{}
		if first.Open(a, 0, req, true) == 0 {
			t.Fatal("no stream")
		}
		time.Sleep(maxLife + 2*tick)
		synctest.Wait()
		if p.Get(target) != nil {
			t.Error("a connection of age takes requests")
		}
		second, err := p.Dial(t.Context(), target)
		if err != nil || second == first || network.dials != 2 {
			t.Errorf("%v, %d dials", err, network.dials)
		}
		time.Sleep(maxLife)
		synctest.Wait()
		if a.answers.Load() != 1 || a.code != 0 || len(ends) == 0 {
			t.Errorf("%d answers, reset by %v, ends %v", a.answers.Load(), a.code, ends)
		}
		p.Close()
		synctest.Wait()
		if p.Len() != 0 {
			t.Errorf("%d connections are left", p.Len())
		}
		time.Sleep(time.Minute)
	})
}

// A peer that takes fewer streams than are wanted gets them one connection after the other.
func TestStreamLimitOfUpstreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := &inMemory{after: time.Second}
		p := NewPool(network, nil)
		target := pool.Target{Address: netip.MustParseAddrPort("10.0.0.1:80")}
		req := &msg.Request{Method: []byte("GET"), Authority: []byte("cart"), Path: []byte("/")}
		a := &asker{}
		for range http2.MaxStreams + 1 {
			c, err := p.Dial(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // SETTINGS are here
			if c.Open(a, 0, req, true) == 0 {
				t.Fatal("a connection without room was given out")
			}
		}
		if network.dials != 2 {
			t.Errorf("%d dials", network.dials)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if a.answers.Load() != http2.MaxStreams+1 {
			t.Errorf("%d answers", a.answers.Load())
		}
		p.Close()
		time.Sleep(time.Minute)
	})
}

// A target that leaves the configuration while it is dialled serves those who waited, and ends; they must not dial it for ever.
func TestUnwantedWhileDialled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := &inMemory{after: 10 * time.Second}
		p := NewPool(network, nil)
		p.Keep(func(pool.Target) bool { return false })
		target := pool.Target{Address: netip.MustParseAddrPort("10.0.0.1:80")}
		c, err := p.Dial(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		a := &asker{}
		if c.Open(a, 0, &msg.Request{Method: []byte("GET"), Authority: []byte("cart"), Path: []byte("/")}, true) == 0 {
			t.Fatal("no stream")
		}
		time.Sleep(unwanted + time.Second)
		synctest.Wait()
		if !c.Closing() || a.answers.Load() != 0 {
			t.Errorf("closing %v, %d answers", c.Closing(), a.answers.Load())
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if a.answers.Load() != 1 || p.Len() != 0 {
			t.Errorf("%d answers, %d connections are left", a.answers.Load(), p.Len())
		}
	})
}
