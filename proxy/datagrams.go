package proxy

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/lb"
	"github.com/leno-mesh/leno/proxy/plan"
	"github.com/leno-mesh/leno/proxy/telemetry"
	"github.com/leno-mesh/leno/proxy/udp"
)

// sockets are the open listening sockets for datagrams.
type sockets struct {
	mu      sync.Mutex      // guards what follows
	serving context.Context // nil before the proxy runs, and after
	open    map[netip.AddrPort]*socket
	running sync.WaitGroup
}

type socket struct {
	relay *udp.Relay
	close func()
}

// serveDatagrams keeps the sockets open until ctx ends.
func (p *Proxy) serveDatagrams(ctx context.Context) {
	s := &p.sockets
	s.mu.Lock()
	s.serving, s.open = ctx, map[netip.AddrPort]*socket{}
	s.mu.Unlock()
	p.openSockets()
	<-ctx.Done()
	s.mu.Lock()
	s.serving = nil
	s.mu.Unlock()
	s.running.Wait()
}

// openSockets makes the sockets what the newest configuration says. Those that stay keep the sessions whose endpoint
// stays.
func (p *Proxy) openSockets() {
	s := &p.sockets
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.serving == nil || s.serving.Err() != nil {
		return
	}
	now := p.plan.Load()
	for at, one := range s.open {
		if now.Datagrams(at) == nil {
			one.close()
			delete(s.open, at)
		}
	}
	for at, d := range now.Config.Datagrams {
		if one := s.open[at]; one != nil {
			one.relay.Update(d.Idle, holds(now.Datagrams(at)))
			continue
		}
		if err := p.openSocket(at, d); err != nil {
			p.opts.Log.Error("cannot serve datagrams; tried again with the next configuration", "address", at.String(), "error", err.Error())
		}
	}
}

func holds(d *plan.Destination) func(*lb.Endpoint) bool {
	return func(e *lb.Endpoint) bool { return d.Holds(e.Address, e.Identity) }
}

// openSocket opens one and serves it. The caller holds the lock.
func (p *Proxy) openSocket(at netip.AddrPort, d *config.Datagram) error {
	if p.opts.Gateway == nil {
		return errors.New("this proxy opens no sockets for datagrams: a gateway does")
	}
	listening, err := p.opts.Gateway.ListenDatagrams(at)
	if err != nil {
		return err
	}
	pick := func() *lb.Endpoint {
		destination := p.plan.Load().Datagrams(at)
		if destination == nil {
			return nil
		}
		cluster := destination.Choose(p.opts.Random)
		if cluster == nil {
			return nil
		}
		return cluster.Balancer.Pick(time.Now(), nil)
	}
	relay := udp.New(listening, udp.Options{
		Pick: pick, Dial: p.opts.Gateway.DialDatagrams, Idle: d.Idle, Counters: p.opts.Counters.Datagrams,
		Ended: func(s udp.Session) { p.sessionEnded(at, s) },
	})
	ctx, cancel := context.WithCancel(p.sockets.serving)
	one := &socket{relay, func() {
		cancel()
		_ = listening.Close() // now, so that the address is free for the next one
	}}
	p.sockets.open[at] = one
	p.sockets.running.Go(func() {
		defer p.socketEnded(at, one)
		if err := relay.Run(ctx); err != nil {
			p.opts.Log.Error("datagrams are served no longer", "error", err.Error())
		}
	})
	return nil
}

// socketEnded lets the next configuration open the socket again.
func (p *Proxy) socketEnded(at netip.AddrPort, one *socket) {
	one.close()
	p.sockets.mu.Lock()
	defer p.sockets.mu.Unlock()
	if p.sockets.open[at] == one {
		delete(p.sockets.open, at)
	}
}

// sessionEnded records a session. Clients say no goodbye, so the idle timeout is its proper end.
func (p *Proxy) sessionEnded(at netip.AddrPort, s udp.Session) {
	d := p.Config().Datagrams[at]
	if d == nil {
		d = &config.Datagram{} // the configuration has dropped it
	}
	record := &telemetry.Connection{
		Direction: telemetry.Gateway, Client: s.Client.String(), Source: p.self(), Destination: s.Endpoint.Workload, Service: d.Service, Origin: d.Origin,
		Protocol: string(config.UDP), Peer: s.Endpoint.Text, Start: s.Start, Duration: time.Since(s.Start),
		BytesIn: s.ToServer, BytesOut: s.ToClient,
	}
	switch {
	case errors.Is(s.Err, udp.ErrIdle):
	case errors.Is(s.Err, udp.ErrGone):
		record.Flag = "endpoint_gone"
	case errors.Is(s.Err, context.Canceled):
		record.Flag = "stopped"
	case errors.Is(s.Err, syscall.ECONNREFUSED):
		record.Flag = "refused"
	default:
		record.Flag = "reset"
	}
	p.opts.Sink.Connection(record)
}
