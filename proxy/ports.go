package proxy

import (
	"context"
	"fmt"
	"net"
	"sync"

	"github.com/leno-mesh/leno/proxy/accept"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

// ports are the listeners of a gateway.
type ports struct {
	mu      sync.Mutex      // guards what follows
	serving context.Context // nil before the proxy runs, and after
	open    map[uint16]*port
	failed  map[uint16]error // why others could not be opened
	// complete tells that all that was configured has been open at the same time.
	complete bool
	running  sync.WaitGroup
}

type port struct{ listeners []net.Listener }

// servePorts keeps the ports open until ctx ends, and returns when the last connection has ended.
func (p *Proxy) servePorts(ctx context.Context) {
	s := &p.ports
	s.mu.Lock()
	s.serving, s.open, s.failed = ctx, map[uint16]*port{}, map[uint16]error{}
	s.mu.Unlock()
	p.openPorts()
	<-ctx.Done()
	s.mu.Lock()
	s.serving = nil
	for number, one := range s.open {
		closeAll(one.listeners)
		delete(s.open, number)
	}
	s.mu.Unlock()
	s.running.Wait()
}

// openPorts makes the listeners what the newest configuration says. Connections that a listener has taken go on without it.
func (p *Proxy) openPorts() {
	s := &p.ports
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.serving == nil || s.serving.Err() != nil {
		return
	}
	now := p.plan.Load().Config
	clear(s.failed)
	for number, one := range s.open {
		if now.Ports[number] == nil {
			closeAll(one.listeners)
			delete(s.open, number)
		}
	}
	for number := range now.Ports {
		if s.open[number] != nil {
			continue
		}
		if err := p.openPort(number); err != nil {
			s.failed[number] = err
			p.opts.Log.Error("cannot listen; tried again with the next configuration", "port", number, "error", err.Error())
		}
	}
	if now.Inbound != nil && now.Waiting == 0 && len(s.failed) == 0 {
		s.complete = true
	}
}

// openPort opens one and serves it. The caller holds the lock.
func (p *Proxy) openPort(number uint16) error {
	listeners, err := p.opts.Gateway.Listen(number)
	if err != nil {
		return err
	}
	one := &port{listeners}
	p.ports.open[number] = one
	ctx := p.ports.serving
	for _, listener := range listeners {
		p.ports.running.Go(func() {
			if err := accept.Serve(ctx, listener, p.opts.Log, p.carrier(telemetry.Gateway, p.fromOutside(number))); err != nil {
				p.opts.Log.Error("connections are taken no longer; tried again with the next configuration", "port", number, "error", err.Error())
				p.portEnded(number, one)
			}
		})
	}
	return nil
}

// portEnded lets the next configuration open a port again.
func (p *Proxy) portEnded(number uint16, one *port) {
	closeAll(one.listeners)
	p.ports.mu.Lock()
	defer p.ports.mu.Unlock()
	if p.ports.open[number] == one {
		delete(p.ports.open, number)
	}
}

// portsReady tells whether the first configuration is open as a whole. Later changes do not take a gateway away from its clients.
func (p *Proxy) portsReady() (ready bool, reason string) {
	s := &p.ports
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.complete {
		return true, ""
	}
	for number, err := range s.failed {
		return false, fmt.Sprintf("port %d: %v", number, err)
	}
	if waiting := p.Config().Waiting; waiting > 0 {
		return false, fmt.Sprintf("%d listeners wait for the rest of their configuration", waiting)
	}
	return false, "not listening yet"
}
