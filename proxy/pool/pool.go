// Package pool keeps upstream connections by (endpoint, protocol, identity).
package pool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
)

// Target is what a connection leads to. Connections are shared only between equal targets.
type Target struct {
	Address netip.AddrPort
	// Identity is the SPIFFE id that the peer must prove; empty: plain text.
	Identity string
	// ALPN is what both sides will speak; empty where Identity and TLS are.
	ALPN string
	// TLS is how the application is spoken to, through the mutual TLS where there is an identity; nil: in plain text.
	TLS *config.BackendTLS
}

// Dialer makes connections, including the TLS handshake where the target has an identity.
type Dialer interface {
	Dial(ctx context.Context, t Target) (net.Conn, error)
}

// Defaults of Options.
const (
	// DefaultMaxIdle: long enough to be useful between the requests of a person, short against the keep-alive timeouts
	// that servers document (60 s and more); servers with shorter ones (Node.js: 5 s) are found out by looking at the
	// connection before each use.
	DefaultMaxIdle = 30 * time.Second
	// DefaultMaxLife lets load move to new endpoints behind an address, and new certificates come to use.
	DefaultMaxLife = 30 * time.Minute
	// DefaultMaxIdlePerTarget bounds what a burst leaves behind.
	DefaultMaxIdlePerTarget = 256
	// DefaultDialTimeout covers TCP and TLS; a SYN is repeated after 1 and 3 s.
	DefaultDialTimeout = 5 * time.Second
)

// Options configure a Pool. Zero durations and counts mean the defaults.
type Options struct {
	Dialer           Dialer
	MaxIdle          time.Duration
	MaxLife          time.Duration
	MaxIdlePerTarget int
	DialTimeout      time.Duration
}

// Pool holds idle connections. It is safe for concurrent use and runs no goroutine while it is empty.
type Pool struct {
	opts Options

	mu     sync.Mutex // guards all below
	idle   map[Target]*shelf
	count  int
	keep   func(Target) bool
	closed bool
	sweep  *time.Timer // nil while nothing is idle
}

// shelf holds the idle connections of one target. Its connections know it, so that coming back needs no search.
type shelf struct {
	conns []*Conn
	kept  bool // what Pool.keep says of the target
	gone  bool // no longer in the pool: it was empty
}

// Conn is an upstream connection in one borrower's hands.
type Conn struct {
	net.Conn
	Target Target
	// Reused tells that the connection carried an exchange before.
	Reused bool
	// ReadBy and WriteBy are the deadlines in force; the borrower that sets one notes it here, so that the next need
	// not set it again while it is far enough away.
	ReadBy, WriteBy time.Time

	shelf *shelf
	probe probe
	born  time.Time
	since time.Time // idle since
}

// CloseWrite closes the writing half, where the connection can do that.
func (c *Conn) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

// NetConn is the connection that the dialer returned.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// New returns an empty pool.
func New(opts Options) *Pool {
	if opts.MaxIdle == 0 {
		opts.MaxIdle = DefaultMaxIdle
	}
	if opts.MaxLife == 0 {
		opts.MaxLife = DefaultMaxLife
	}
	if opts.MaxIdlePerTarget == 0 {
		opts.MaxIdlePerTarget = DefaultMaxIdlePerTarget
	}
	if opts.DialTimeout == 0 {
		opts.DialTimeout = DefaultDialTimeout
	}
	return &Pool{opts: opts, idle: map[Target]*shelf{}}
}

// Get returns a live connection to t: the one used last, or a new one. fresh asks for a new one. Errors come from the
// dialer, wrapped.
func (p *Pool) Get(ctx context.Context, t Target, now time.Time, fresh bool) (*Conn, error) {
	for !fresh {
		c := p.take(t)
		if c == nil {
			break
		}
		if now.Sub(c.since) < p.opts.MaxIdle && now.Sub(c.born) < p.opts.MaxLife && c.probe.quiet() {
			c.Reused = true
			return c, nil
		}
		c.Close()
	}
	ctx, cancel := context.WithTimeout(ctx, p.opts.DialTimeout)
	defer cancel()
	raw, err := p.opts.Dialer.Dial(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", t.Address, err)
	}
	return &Conn{Conn: raw, Target: t, probe: newProbe(raw), born: now}, nil
}

func (p *Pool) take(t Target) *Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.idle[t]
	if s == nil || len(s.conns) == 0 {
		return nil
	}
	last := len(s.conns) - 1
	c := s.conns[last]
	s.conns[last] = nil
	s.conns = s.conns[:last]
	p.count--
	return c
}

// Put takes a connection back after a complete exchange. It is closed when it is too old, when its endpoint left, or
// when enough of its kind are idle.
func (p *Pool) Put(c *Conn, now time.Time) {
	c.since = now
	p.mu.Lock()
	s := c.shelf
	if s == nil || s.gone {
		s = p.shelfFor(c.Target)
		c.shelf = s
	}
	ok := !p.closed && len(s.conns) < p.opts.MaxIdlePerTarget && now.Sub(c.born) < p.opts.MaxLife && s.kept
	if ok {
		s.conns = append(s.conns, c)
		p.count++
		if p.sweep == nil {
			p.sweep = time.AfterFunc(p.opts.MaxIdle, p.sweepIdle)
		}
	}
	p.mu.Unlock()
	if !ok {
		c.Close()
	}
}

// shelfFor is called with the lock held.
func (p *Pool) shelfFor(t Target) *shelf {
	s := p.idle[t]
	if s == nil {
		s = &shelf{kept: p.keep == nil || p.keep(t)}
		p.idle[t] = s
	}
	return s
}

// Keep closes idle connections to targets that keep refuses, now and whenever one is put back. Exchanges in progress
// go on. keep must not block.
func (p *Pool) Keep(keep func(Target) bool) {
	p.mu.Lock()
	p.keep = keep
	for t, s := range p.idle {
		s.kept = keep(t)
	}
	p.mu.Unlock()
	p.drop(func(c *Conn) bool { return !keep(c.Target) })
}

// Close closes all idle connections, and each of the others when it comes back.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	if p.sweep != nil {
		p.sweep.Stop()
		p.sweep = nil
	}
	p.mu.Unlock()
	p.drop(func(*Conn) bool { return true })
}

// Idle is the number of idle connections.
func (p *Pool) Idle() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

// sweepIdle runs by timer while anything is idle.
func (p *Pool) sweepIdle() {
	now := time.Now()
	p.drop(func(c *Conn) bool {
		return now.Sub(c.since) >= p.opts.MaxIdle || now.Sub(c.born) >= p.opts.MaxLife || !c.probe.quiet()
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweep = nil
	if p.count > 0 && !p.closed {
		p.sweep = time.AfterFunc(p.opts.MaxIdle/2, p.sweepIdle)
	}
}

func (p *Pool) drop(bad func(*Conn) bool) {
	var victims []*Conn
	p.mu.Lock()
	for t, s := range p.idle {
		kept := s.conns[:0]
		for _, c := range s.conns {
			if bad(c) {
				victims = append(victims, c)
			} else {
				kept = append(kept, c)
			}
		}
		clear(s.conns[len(kept):])
		if s.conns = kept; len(kept) == 0 {
			s.gone = true
			delete(p.idle, t)
		}
	}
	p.count -= len(victims)
	p.mu.Unlock()
	for _, c := range victims {
		c.Close()
	}
}
