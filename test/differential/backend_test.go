//go:build differential

package differential

import (
	"bufio"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// seen is what a backend got of one request.
type seen struct {
	service  string // namespace/service whose endpoint it is
	endpoint string // address of that
	message
	cut bool // the body ended before its end
}

// backends is one server with many names: each endpoint is an address of its own, and answers with its Service's name.
type backends struct {
	t testing.TB

	mu    sync.Mutex // guards got and tries
	got   []seen
	tries int           // attempts of requests that are answered by how often they come
	more  chan struct{} // has an element when something was added
}

func newBackends(t testing.TB) *backends { return &backends{t: t, more: make(chan struct{}, 1)} }

// listen starts an endpoint of a Service.
func (b *backends) listen(service string) netip.AddrPort {
	b.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { listener.Close() })
	if isAuthorizer(service) {
		b.authorize(listener, service)
		return listener.Addr().(*net.TCPAddr).AddrPort()
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go b.serve(conn, service)
		}
	}()
	return listener.Addr().(*net.TCPAddr).AddrPort()
}

// refuse reserves an address at which connections are refused: its port is taken, and nobody listens.
func (b *backends) refuse() netip.AddrPort {
	b.t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		b.t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		b.t.Fatal(err)
	}
	v4 := name.(*syscall.SockaddrInet4)
	return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), uint16(v4.Port))
}

func (b *backends) add(s seen) {
	b.mu.Lock()
	b.got = append(b.got, s)
	b.mu.Unlock()
	select {
	case b.more <- struct{}{}:
	default:
	}
}

// forget makes the backends ready for another request: late copies of earlier ones are of no interest any more.
func (b *backends) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got, b.tries = nil, 0
}

// try counts the attempts of a request, from 1.
func (b *backends) try() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tries++
	return b.tries
}

// take is what was seen since the last time, once there are at least n requests or limit is over.
func (b *backends) take(n int, limit time.Duration) []seen {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	for {
		b.mu.Lock()
		if len(b.got) >= n {
			got := b.got
			b.got = nil
			b.mu.Unlock()
			return got
		}
		b.mu.Unlock()
		select {
		case <-b.more:
		case <-deadline.C:
			n = 0
		}
	}
}

// serve answers requests of one connection, as each asks for in its field X-Answer.
func (b *backends) serve(conn net.Conn, service string) {
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 256<<10)
	if start, err := in.Peek(4); err == nil && string(start) == "PRI " {
		b.serve2(conn, in, service)
		return
	}
	for {
		m, err := readHead(in)
		if err != nil {
			return
		}
		x := &exchange{conn: conn, in: in, service: service, request: m}
		early := early(m)
		if m.get("expect") != "" && !early {
			x.write("HTTP/1.1 100 Continue\r\n\r\n")
		}
		if !early {
			cut := readBody(in, m, false) != nil
			b.add(seen{service, conn.LocalAddr().String(), *m, cut})
			if cut {
				return
			}
		} else {
			b.add(seen{service, conn.LocalAddr().String(), *m, false})
		}
		if !x.answer() {
			return
		}
		if early || strings.Contains(strings.ToLower(m.get("connection")), "close") {
			return
		}
	}
}

// early tells of requests that are answered before their bodies are there.
func early(m *message) bool { return strings.HasPrefix(m.get("x-answer"), "early-4") }
