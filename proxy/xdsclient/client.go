// Package xdsclient keeps a proxy's configuration in step with the control plane, over incremental (delta) ADS. It asks
// for what the proxy dials and for nothing else, and hands out one consistent configuration at a time.
package xdsclient

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/leno-mesh/leno/proxy/config"
)

// Options configure a Client.
type Options struct {
	// Connect makes a connection to the control plane, with the workload's certificate as it is then. The client closes it.
	Connect func(ctx context.Context) (*grpc.ClientConn, error)
	NodeID  string // "sidecar~namespace/pod", "gateway~namespace/pod"
	// Gateway asks for all ports of the gateway whose proxy this is.
	Gateway bool
	Zone    string
	// CacheFile keeps the last good configuration for a start without control plane; empty: none. No private keys are in it.
	CacheFile string
	Log       *slog.Logger // nil: slog.Default
	// OnConfig and OnBundle are told of news, one at a time, each before Config or Outbound shows it. The bundle is PEM.
	OnConfig func(*config.Config)
	OnBundle func(pem []byte)
	// Backoff is how long to wait before connection attempt n = 1, 2, …; nil: 250 ms growing to 15 s, with jitter.
	Backoff func(n int) time.Duration
}

const (
	// maxDestinations bounds what a port scan from inside the pod can make of memory here and in the control plane. Beyond it,
	// a new destination takes the place of the oldest one that the control plane does not know.
	maxDestinations = 4096
	// offlineWait is how long a new destination waits while there is no stream: long enough for one that is coming up.
	offlineWait = 200 * time.Millisecond
	// patience is how long the first answer may take at a start before the cache file is used.
	patience = 3 * time.Second
)

// Client is one proxy's subscription. Its methods may be called from any goroutine.
type Client struct {
	o    Options
	log  *slog.Logger
	save chan struct{} // something to write to the cache file
	send chan struct{} // something to send

	published atomic.Pointer[config.Config]
	stats     counters

	mu      sync.Mutex // guards machine and changed
	machine *machine
	changed chan struct{} // closed and replaced when something happened that Outbound waits for

	tell   sync.Mutex // held while news are told, so that they are told in order
	bundle string     // told last
}

// New makes a client that does nothing until Run.
func New(o Options) *Client {
	c := &Client{
		o: o, log: cmp.Or(o.Log, slog.Default()), save: make(chan struct{}, 1), send: make(chan struct{}, 1),
		machine: newMachine(node{ID: o.NodeID, Zone: o.Zone}), changed: make(chan struct{}),
	}
	c.machine.gateway = o.Gateway
	if c.o.Backoff == nil {
		c.o.Backoff = backoff
	}
	c.published.Store(c.machine.config)
	return c
}

func backoff(n int) time.Duration {
	d := 15 * time.Second
	if n < 7 {
		d = min(d, 250*time.Millisecond<<(n-1))
	}
	return d*3/4 + rand.N(d/2) // ±25 %: proxies that lost one replica do not come back all at once
}

// Config is the configuration in effect; empty until the first one, never nil.
func (c *Client) Config() *config.Config { return c.published.Load() }

// Outbound returns the configuration once it holds the destination, asking for it on first use. It waits for the whole
// chain of the destination until ctx ends; much shorter while there is no control plane, and not at all for a destination
// whose configuration had to be refused. If the destination is not known then, the second result is false; one that the
// control plane has no answer to but "unknown" is known, with a nil listener.
func (c *Client) Outbound(ctx context.Context, dst netip.AddrPort) (*config.Config, bool) {
	dst = config.Destination(dst)
	if cfg := c.published.Load(); has(cfg, dst) {
		return cfg, true
	}
	if !c.ask(dst) {
		return c.published.Load(), false
	}
	offline := time.NewTimer(offlineWait)
	defer offline.Stop()
	for {
		c.mu.Lock()
		standing, changed := c.machine.standing(dst), c.changed
		c.mu.Unlock()
		cfg := c.published.Load() // after changed was taken: what is published later closes it
		if has(cfg, dst) {
			return cfg, true
		}
		if standing == stuck {
			return cfg, false
		}
		expired := offline.C
		if c.stats.connected.Load() {
			expired = nil
		}
		select {
		case <-changed:
		case <-expired:
			return c.published.Load(), false
		case <-ctx.Done():
			return c.published.Load(), false
		}
	}
}

func has(cfg *config.Config, dst netip.AddrPort) bool {
	_, ok := cfg.Outbound[dst]
	return ok
}

// ask subscribes to a destination; false when there are too many.
func (c *Client) ask(dst netip.AddrPort) bool {
	c.mu.Lock()
	if _, ok := c.machine.wanted[dst]; ok {
		c.mu.Unlock()
		return true
	}
	room := len(c.machine.wanted) < maxDestinations || c.machine.evict()
	if room {
		c.machine.want(dst)
	}
	c.mu.Unlock()
	if !room {
		c.stats.overflow.Add(1)
		return false
	}
	c.news()
	return true
}

// Release gives up a destination that is not used any more: its configuration goes, and what only it needed.
func (c *Client) Release(dst netip.AddrPort) {
	c.mu.Lock()
	c.machine.release(config.Destination(dst))
	c.mu.Unlock()
	c.news()
}

// news sends and tells what the last change of the machine brought about.
func (c *Client) news() {
	notify(c.send)
	c.tell.Lock()
	defer c.tell.Unlock()
	c.mu.Lock()
	cfg, bundle := c.machine.config, c.machine.bundle
	c.mu.Unlock()
	if len(bundle) > 0 && string(bundle) != c.bundle {
		c.bundle = string(bundle)
		if c.o.OnBundle != nil {
			c.o.OnBundle(bundle)
		}
	}
	if cfg != c.published.Load() {
		if c.o.OnConfig != nil {
			c.o.OnConfig(cfg)
		}
		c.published.Store(cfg)
		c.stats.updates.Add(1)
		c.stats.updated.Store(time.Now().UnixNano())
		notify(c.save)
	}
	c.mu.Lock()
	close(c.changed)
	c.changed = make(chan struct{})
	c.mu.Unlock()
}

func notify(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// Stats is what the client can tell of itself.
type Stats struct {
	Connected bool      // the control plane let this proxy in on the current stream
	Updated   time.Time // of the configuration; zero: never
	Updates   uint64
	Attempts  uint64 // connections tried
	Nacks     uint64 // responses refused, in part or as a whole
	Overflow  uint64 // destinations not asked for because there are too many
	// Bytes received by type URL: whole messages, before framing and TLS.
	Bytes        map[string]uint64
	Destinations int
}

type counters struct {
	connected                   atomic.Bool
	updated                     atomic.Int64
	updates, attempts, overflow atomic.Uint64
	mu                          sync.Mutex // guards bytes
	bytes                       map[string]uint64
}

func (s *counters) received(typeURL string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bytes == nil {
		s.bytes = map[string]uint64{}
	}
	s.bytes[typeURL] += uint64(n)
}

// Stats reads the counters.
func (c *Client) Stats() Stats {
	s := Stats{
		Connected: c.stats.connected.Load(), Updates: c.stats.updates.Load(), Attempts: c.stats.attempts.Load(),
		Overflow: c.stats.overflow.Load(), Bytes: map[string]uint64{},
	}
	if t := c.stats.updated.Load(); t != 0 {
		s.Updated = time.Unix(0, t)
	}
	c.mu.Lock()
	s.Nacks, s.Destinations = c.machine.nacks, len(c.machine.wanted)
	c.mu.Unlock()
	c.stats.mu.Lock()
	defer c.stats.mu.Unlock()
	for k, v := range c.stats.bytes {
		s.Bytes[k] = v
	}
	return s
}
