package accept_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leno-mesh/leno/proxy/accept"
)

// script is a listener that gives what it is told.
type script struct{ next chan any } // net.Conn or error

func (s script) Accept() (net.Conn, error) {
	switch v := (<-s.next).(type) {
	case net.Conn:
		return v, nil
	case error:
		return nil, v
	}
	return nil, net.ErrClosed
}
func (s script) Close() error   { close(s.next); return nil }
func (s script) Addr() net.Addr { return &net.TCPAddr{} }

func TestServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := script{make(chan any)}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() {
			served <- accept.Serve(ctx, listener, slog.New(slog.DiscardHandler), func(_ context.Context, conn net.Conn) {
				first := make([]byte, 1)
				_, _ = conn.Read(first)
				if first[0] == '!' {
					panic("defect")
				}
				_, _ = conn.Write(first)
				_, _ = conn.Read(first)
			})
		}()
		bad, badEnd := net.Pipe()
		good, goodEnd := net.Pipe()
		listener.next <- syscall.EMFILE
		listener.next <- badEnd
		listener.next <- goodEnd
		_, _ = bad.Write([]byte("!"))
		if _, err := bad.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("after a defect: %v", err)
		}
		_, _ = good.Write([]byte("x"))
		if _, err := good.Read(make([]byte, 1)); err != nil {
			t.Errorf("another connection after a defect: %v", err)
		}
		_ = listener.Close()
		synctest.Wait()
		if len(served) != 0 {
			t.Fatal("returned while a connection is in progress")
		}
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
	})
}

func TestServeFails(t *testing.T) {
	listener := script{make(chan any, 1)}
	broken := errors.New("broken")
	listener.next <- broken
	if err := accept.Serve(t.Context(), listener, slog.New(slog.DiscardHandler), nil); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
