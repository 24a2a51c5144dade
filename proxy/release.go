package proxy

import (
	"context"
	"net/netip"
	"sync"
	"time"
)

const (
	// releaseAfter is how long a destination may be unused before its configuration is given up: longer than the pauses
	// of programs that call now and then.
	releaseAfter = 30 * time.Minute
	releaseEvery = time.Minute
)

// uses counts the connections to each destination.
type uses struct {
	mu   sync.Mutex // guards used
	used map[netip.AddrPort]*use
}

type use struct {
	connections int
	since       time.Time // without connections
}

// begin counts a connection; call end when it is over.
func (u *uses) begin(to netip.AddrPort) (end func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.used == nil {
		u.used = map[netip.AddrPort]*use{}
	}
	one := u.used[to]
	if one == nil {
		one = &use{}
		u.used[to] = one
	}
	one.connections++
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		one.connections--
		one.since = time.Now()
	}
}

// idle takes out what has not been used for releaseAfter.
func (u *uses) idle(now time.Time) []netip.AddrPort {
	u.mu.Lock()
	defer u.mu.Unlock()
	var idle []netip.AddrPort
	for to, one := range u.used {
		if one.connections == 0 && now.Sub(one.since) >= releaseAfter {
			idle = append(idle, to)
			delete(u.used, to)
		}
	}
	return idle
}

func (p *Proxy) releaseIdle(ctx context.Context) {
	ticker := time.NewTicker(releaseEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			for _, to := range p.uses.idle(now) {
				p.control.Release(to)
			}
		}
	}
}
