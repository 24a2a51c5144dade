package tcp_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/internal/identity/devca"
	"github.com/leno-mesh/leno/proxy/detect"
	"github.com/leno-mesh/leno/proxy/tcp"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// link is a pair of connected ends.
type link func(t *testing.T) (near, far net.Conn)

func sockets(t *testing.T) (net.Conn, net.Conn) {
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	defer func() { _ = listener.Close() }()
	near := must(net.Dial("tcp", listener.Addr().String()))
	far := must(listener.Accept())
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	return near, far
}

func secured(t *testing.T) (net.Conn, net.Conn) {
	near, far := sockets(t)
	ca := must(devca.New(time.Hour))
	id := must(identity.New("cluster.local", "shop", "cart"))
	src := identity.Fixed{SVID: must(ca.SVID(id, time.Hour))}
	client, server := tls.Client(near, identity.ClientTLS(src, id, "x")), tls.Server(far, identity.ServerTLS(src, "x"))
	done := make(chan error)
	go func() { done <- server.Handshake() }()
	if err := errors.Join(client.Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
	return client, server
}

func TestRelay(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<19) // 8 MiB
	for name, links := range map[string][2]link{
		"plain to plain": {sockets, sockets}, "plain to TLS": {sockets, secured}, "TLS to plain": {secured, sockets},
	} {
		t.Run(name, func(t *testing.T) {
			client, accepted := links[0](t)
			dialled, server := links[1](t)
			done := make(chan tcp.Result)
			go func() { done <- tcp.New(0).Run(t.Context(), accepted, dialled) }()

			// The client says everything and ends its side; the server answers after that: half-close goes through.
			go func() {
				_, _ = client.Write(big)
				_ = client.(interface{ CloseWrite() error }).CloseWrite()
			}()
			if got := must(io.ReadAll(server)); !bytes.Equal(got, big) {
				t.Errorf("server got %d bytes of %d", len(got), len(big))
			}
			go func() {
				_, _ = server.Write(big)
				_ = server.(interface{ CloseWrite() error }).CloseWrite()
			}()
			if got := must(io.ReadAll(client)); !bytes.Equal(got, big) {
				t.Errorf("client got %d bytes of %d", len(got), len(big))
			}
			if got := <-done; got.Err != nil || got.ToServer != int64(len(big)) || got.ToClient != int64(len(big)) {
				t.Errorf("result %+v", got)
			}
		})
	}
}

func TestRelayGivesPeekedBytesFirst(t *testing.T) {
	client, accepted := sockets(t)
	dialled, server := sockets(t)
	_, _ = client.Write([]byte("hello "))
	conn, verdict, err := detect.Sniff(accepted, 0)
	for verdict.Kind == detect.Silent && err == nil { // the bytes are on their way
		verdict, err = conn.Sniff(detect.Wait)
	}
	go tcp.New(0).Run(t.Context(), conn, dialled)
	_, _ = client.Write([]byte("world"))
	_ = client.(*net.TCPConn).CloseWrite()
	if got := must(io.ReadAll(server)); string(got) != "hello world" {
		t.Errorf("got %q", got)
	}
}

func TestRelayPassesResets(t *testing.T) {
	client, accepted := sockets(t)
	dialled, server := sockets(t)
	done := make(chan tcp.Result)
	go func() { done <- tcp.New(0).Run(t.Context(), accepted, dialled) }()
	_ = client.(*net.TCPConn).SetLinger(0)
	_ = client.Close()
	if _, err := server.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("server sees %v, want a reset", err)
	}
	if got := <-done; got.Err == nil {
		t.Error("the result names no error")
	}
}

func TestRelayEndsWithContext(t *testing.T) {
	_, accepted := sockets(t)
	dialled, _ := sockets(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan tcp.Result)
	go func() { done <- tcp.New(0).Run(ctx, accepted, dialled) }()
	cancel()
	if got := <-done; !errors.Is(got.Err, context.Canceled) {
		t.Errorf("result %+v", got)
	}
}

func TestRelayIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, accepted := net.Pipe()
		dialled, server := net.Pipe()
		done := make(chan tcp.Result, 1)
		go func() { done <- tcp.New(time.Hour).Run(t.Context(), accepted, dialled) }()
		go func() { _, _ = io.Copy(io.Discard, server) }()
		for range 5 { // one direction is enough to keep it open
			time.Sleep(50 * time.Minute)
			_, _ = client.Write([]byte("x"))
		}
		synctest.Wait()
		if len(done) != 0 {
			t.Fatal("ended although bytes moved")
		}
		start := time.Now()
		got := <-done
		if !errors.Is(got.Err, tcp.ErrIdle) || got.ToServer != 5 {
			t.Errorf("result %+v", got)
		}
		if waited := time.Since(start); waited < time.Hour || waited > 2*time.Hour {
			t.Errorf("ended after %v", waited)
		}
		_, _ = client.Close(), server.Close()
	})
}

func TestRelayIdleSockets(t *testing.T) {
	_, accepted := sockets(t)
	dialled, _ := sockets(t)
	if got := tcp.New(20*time.Millisecond).Run(t.Context(), accepted, dialled); !errors.Is(got.Err, tcp.ErrIdle) {
		t.Errorf("result %+v", got)
	}
}

// A peer that takes nothing is given up after the idle time, although the other one goes on writing.
func TestRelayStalled(t *testing.T) {
	client, accepted := sockets(t)
	dialled, _ := sockets(t)
	done := make(chan tcp.Result, 1)
	go func() { done <- tcp.New(50*time.Millisecond).Run(t.Context(), accepted, dialled) }()
	piece := make([]byte, 1<<16)
	for {
		if _, err := client.Write(piece); err != nil {
			break // the buffers of both connections were full, and the relay has ended
		}
	}
	if got := <-done; !errors.Is(got.Err, tcp.ErrIdle) || got.ToServer == 0 {
		t.Errorf("result %+v", got)
	}
}
