package sidecar

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// Fan is one listener over many addresses, which may come and go while it is in use. Connections that were accepted at
// an address that goes away stay.
type Fan struct {
	accepted chan net.Conn
	closed   chan struct{}

	mu        sync.Mutex // guards what follows
	listeners map[netip.AddrPort]net.Listener
	originals map[netip.AddrPort]netip.AddrPort
	done      bool
}

// NewFan listens at no address yet.
func NewFan() *Fan {
	return &Fan{
		accepted: make(chan net.Conn), closed: make(chan struct{}),
		listeners: map[netip.AddrPort]net.Listener{}, originals: map[netip.AddrPort]netip.AddrPort{},
	}
}

// Set listens at these addresses and no others. An address that cannot be had is an error; the others are served.
func (f *Fan) Set(want []Listen) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		return net.ErrClosed
	}
	keep := map[netip.AddrPort]bool{}
	var errs []error
	for _, l := range want {
		keep[l.At] = true
		f.originals[l.At] = l.Original
		if f.listeners[l.At] != nil {
			continue
		}
		listener, err := net.Listen("tcp", l.At.String())
		if err != nil {
			errs = append(errs, fmt.Errorf("address of %s: %w", l.Original, err))
			continue
		}
		f.listeners[l.At] = listener
		go f.accept(listener)
	}
	for at, listener := range f.listeners {
		if !keep[at] {
			listener.Close()
			delete(f.listeners, at)
		}
	}
	return errors.Join(errs...)
}

// accept ends when its listener is closed.
func (f *Fan) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // a connection that broke before it was accepted
		}
		select {
		case f.accepted <- conn:
		case <-f.closed:
			conn.Close()
			return
		}
	}
}

// Accept implements net.Listener.
func (f *Fan) Accept() (net.Conn, error) {
	select {
	case conn := <-f.accepted:
		return conn, nil
	case <-f.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (f *Fan) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		return nil
	}
	f.done = true
	close(f.closed)
	for _, listener := range f.listeners {
		listener.Close()
	}
	return nil
}

// Addr implements net.Listener: any of the addresses.
func (f *Fan) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4zero} }

// original is the original destination of what comes in at an address: the address itself when the Fan does not know it.
func (f *Fan) original(at netip.AddrPort) netip.AddrPort {
	f.mu.Lock()
	defer f.mu.Unlock()
	if original, known := f.originals[at]; known {
		return original
	}
	return at
}

func localAddress(conn net.Conn) netip.AddrPort {
	tcp, ok := conn.LocalAddr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	at := tcp.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}
