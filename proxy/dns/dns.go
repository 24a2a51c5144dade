// Package dns keeps the addresses of names outside of the mesh fresh.
package dns

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// maxAddresses bounds what an answer can make of memory and connections here.
	maxAddresses = 64
	// patience is how long one question may take: a resolver's own timeout is 5 s for each server.
	patience = 5 * time.Second
	// firstRetry is how long after a question without answer the next one is asked; the time doubles up to that of a refresh.
	firstRetry = time.Second
)

// Lookup finds the addresses of a name.
type Lookup func(ctx context.Context, host string) ([]netip.Addr, error)

// Resolver keeps the addresses of the names that are in use. It runs one goroutine for each of them.
type Resolver struct {
	lookup  Lookup
	changed func()
	log     *slog.Logger

	mu    sync.Mutex // guards names and their addresses
	names map[string]*name
}

// name is one name in use.
type name struct {
	refresh   time.Duration
	addresses []netip.Addr
	first     chan struct{} // closed when the first question was answered, or was not
	stop      context.CancelFunc
}

// New makes a resolver. changed is told, on a goroutine of the resolver, when other addresses have been found.
func New(lookup Lookup, changed func(), log *slog.Logger) *Resolver {
	return &Resolver{lookup: lookup, changed: changed, log: log, names: map[string]*name{}}
}

// Use says which names are in use from now on, and how often each that is new is asked for. It does not block.
func (r *Resolver) Use(hosts map[string]time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for host, n := range r.names {
		if _, used := hosts[host]; !used {
			n.stop()
			delete(r.names, host)
		}
	}
	for host, refresh := range hosts {
		if r.names[host] == nil {
			ctx, stop := context.WithCancel(context.Background())
			n := &name{refresh: refresh, first: make(chan struct{}), stop: stop}
			r.names[host] = n
			go r.keep(ctx, host, n)
		}
	}
}

// Close forgets all names.
func (r *Resolver) Close() { r.Use(nil) }

// Addresses are those of a name that is in use, sorted; none as long as there is no answer. The caller must not change them.
func (r *Resolver) Addresses(host string) []netip.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := r.names[host]; n != nil {
		return n.addresses
	}
	return nil
}

// Pending is closed when a name's first question is over, and what was found is in use; nil when it is already.
func (r *Resolver) Pending(host string) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.names[host]
	if n == nil {
		return nil
	}
	select {
	case <-n.first:
		return nil
	default:
		return n.first
	}
}

// keep asks for a name again and again until ctx ends.
func (r *Resolver) keep(ctx context.Context, host string, n *name) {
	failing := false
	for wait, asked := time.Duration(0), 0; ; asked++ {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		found, err := r.ask(ctx, host)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			failing = false
			// Not all proxies at the same time.
			wait = n.refresh*3/4 + rand.N(n.refresh/2+1)
		} else {
			if !failing {
				r.log.Warn("a name cannot be resolved, its last addresses stay in use", "host", host, "error", err.Error())
				wait = firstRetry / 2
			}
			failing = true
			wait = min(wait*2, n.refresh)
		}
		if err == nil && r.store(n, found) {
			r.changed()
		}
		if asked == 0 {
			close(n.first)
		}
	}
}

// store tells whether the addresses are others than before.
func (r *Resolver) store(n *name, found []netip.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Equal(n.addresses, found) {
		return false
	}
	n.addresses = found
	return true
}

// ask asks once. That there is no such name is an answer.
func (r *Resolver) ask(ctx context.Context, host string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	found, err := r.lookup(ctx, host)
	var failure *net.DNSError
	if errors.As(err, &failure) && failure.IsNotFound {
		found, err = nil, nil
	}
	if err != nil {
		return nil, err
	}
	return usable(found), nil
}

// usable are the addresses to use, in a fixed order: those of IPv4, where there are any, because not every pod has IPv6.
func usable(found []netip.Addr) []netip.Addr {
	set := map[netip.Addr]bool{}
	has4 := false
	for _, a := range found {
		a = a.Unmap().WithZone("")
		set[a], has4 = true, has4 || a.Is4()
	}
	maps.DeleteFunc(set, func(a netip.Addr, _ bool) bool { return has4 && !a.Is4() })
	out := slices.SortedFunc(maps.Keys(set), netip.Addr.Compare)
	return out[:min(len(out), maxAddresses)]
}

// System asks the resolver of the pod. Addresses that mean the proxy's own machine or link are left out: whoever owns a name must not
// reach through a proxy what listens there for the proxy only (GEP-4894, "FQDN Security Analysis").
func System(ctx context.Context, host string) ([]netip.Addr, error) {
	// The dot keeps the search domains of the pod away.
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host+".")
	return slices.DeleteFunc(found, func(a netip.Addr) bool { return !a.Unmap().IsGlobalUnicast() }), err
}
