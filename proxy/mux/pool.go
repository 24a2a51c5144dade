package mux

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/pool"
)

// Limits of upstream connections. They rest a little longer than those of package pool: peers say by GOAWAY when they close.
const (
	maxIdle = time.Minute
	maxLife = pool.DefaultMaxLife
	// unwanted is how long a connection lives whose target left the configuration while it was dialled: those who waited for it
	// use it.
	unwanted = time.Second
)

// Pool keeps connections to upstreams by (endpoint, protocol, identity). It is safe for concurrent use.
type Pool struct {
	dialer pool.Dialer
	ended  func(why error)

	mu     sync.Mutex // guards all below
	sets   map[pool.Target]*set
	keep   func(pool.Target) bool
	closed bool
}

// set is the connections to one target.
type set struct {
	conns   []*Conn
	dialing *dialing // nil: none
}

// dialing is a dial that is under way.
type dialing struct {
	done chan struct{} // closed when it has ended
	err  error         // why it failed, for all that wait; nil also where the one who dials has lost interest
}

// NewPool returns an empty pool. ended, which is optional, is told of each connection's end.
func NewPool(dialer pool.Dialer, ended func(why error)) *Pool {
	return &Pool{dialer: dialer, ended: ended, sets: map[pool.Target]*set{}}
}

// Get returns a connection to t that takes a stream, or nil: then Dial makes one.
func (p *Pool) Get(t pool.Target) *Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.get(t)
}

func (p *Pool) get(t pool.Target) *Conn {
	s := p.sets[t]
	if s == nil {
		return nil
	}
	for _, c := range s.conns {
		if _, ok := c.usable(); ok {
			return c
		}
	}
	return nil
}

// Dial returns a connection to t that takes a stream, a new one if need be. Callers that ask at the same time wait for one dial.
func (p *Pool) Dial(ctx context.Context, t pool.Target) (*Conn, error) {
	for {
		p.mu.Lock()
		if c := p.get(t); c != nil {
			p.mu.Unlock()
			return c, nil
		}
		s := p.sets[t]
		if s == nil {
			s = &set{}
			p.sets[t] = s
		}
		wait := s.dialing
		if wait == nil {
			s.dialing = &dialing{done: make(chan struct{})}
			p.mu.Unlock()
			return p.dial(ctx, t, s)
		}
		p.mu.Unlock()
		select {
		case <-wait.done:
			if wait.err != nil {
				return nil, wait.err
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("connect to %s: %w", t.Address, ctx.Err())
		}
	}
}

func (p *Pool) dial(ctx context.Context, t pool.Target, s *set) (*Conn, error) {
	limited, cancel := context.WithTimeout(ctx, pool.DefaultDialTimeout)
	defer cancel()
	raw, err := p.dialer.Dial(limited, t)
	p.mu.Lock()
	defer p.mu.Unlock()
	d := s.dialing
	s.dialing = nil
	defer close(d.done)
	if err == nil && p.closed {
		_ = raw.Close()
		err = ErrClosed
	}
	if err != nil {
		err = fmt.Errorf("connect to %s: %w", t.Address, err)
		if ctx.Err() == nil {
			d.err = err
		}
		p.forget(t, s)
		return nil, err
	}
	c := Client(raw, Options{Secure: t.TLS != nil, Idle: maxIdle, Life: maxLife, Ended: func(c *Conn, why error) { p.remove(t, s, c, why) }})
	s.conns = append(s.conns, c)
	if p.keep != nil && !p.keep(t) {
		time.AfterFunc(unwanted, func() { p.drop(t, c) })
	}
	return c, nil
}

// drop lets a connection end if its target has not become wanted again.
func (p *Pool) drop(t pool.Target, c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keep != nil && !p.keep(t) {
		c.Shutdown()
	}
}

// remove takes a connection out that has ended.
func (p *Pool) remove(t pool.Target, s *set, c *Conn, why error) {
	p.mu.Lock()
	for i := range s.conns {
		if s.conns[i] == c {
			s.conns = append(s.conns[:i:i], s.conns[i+1:]...)
			break
		}
	}
	p.forget(t, s)
	p.mu.Unlock()
	if p.ended != nil {
		p.ended(why)
	}
}

// forget drops a set that holds nothing.
func (p *Pool) forget(t pool.Target, s *set) {
	if len(s.conns) == 0 && s.dialing == nil && p.sets[t] == s {
		delete(p.sets, t)
	}
}

// Keep lets connections to targets that keep refuses finish their streams and end. keep must not block.
func (p *Pool) Keep(keep func(pool.Target) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keep = keep
	for t, s := range p.sets {
		if !keep(t) {
			for _, c := range s.conns {
				c.Shutdown()
			}
		}
	}
}

// Close cuts all connections, and each that is being made.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	var all []*Conn
	for _, s := range p.sets {
		all = append(all, s.conns...)
	}
	p.mu.Unlock()
	for _, c := range all {
		c.Close()
	}
}

// Len is the number of connections.
func (p *Pool) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, s := range p.sets {
		n += len(s.conns)
	}
	return n
}

// Flood names the defence that ended a connection; empty for other ends.
func Flood(why error) string {
	if errors.Is(why, ErrPing) {
		return "ping_timeout"
	}
	var e *http2.Error
	if !errors.As(why, &e) {
		return ""
	}
	return e.Flood
}
