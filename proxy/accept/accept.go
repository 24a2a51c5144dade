// Package accept takes connections from a listener and gives each to a handler in a goroutine of its own.
package accept

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Pauses after a failure that may pass, like a lack of file descriptors.
const (
	firstPause = 5 * time.Millisecond
	maxPause   = time.Second
)

// KeepAlive finds out within a minute that a peer's host has vanished. Go's own default takes two and a half, during which
// the other side of each connection is held too.
var KeepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 3}

// Listen listens for TCP connections with KeepAlive.
func Listen(network, address string) (net.Listener, error) {
	config := net.ListenConfig{KeepAliveConfig: KeepAlive}
	return config.Listen(context.Background(), network, address)
}

// Serve accepts until the listener is closed, and returns when all handlers have. When ctx ends, the connections are
// closed; the listener is the caller's to close. handle owns its connection.
func Serve(ctx context.Context, listener net.Listener, log *slog.Logger, handle func(context.Context, net.Conn)) error {
	var handlers sync.WaitGroup
	defer handlers.Wait()
	pause := firstPause
	for {
		conn, err := listener.Accept()
		switch {
		case err == nil:
			pause = firstPause
			handlers.Go(func() {
				defer end(conn, log, context.AfterFunc(ctx, func() { _ = conn.Close() }))
				handle(ctx, conn)
			})
			continue
		case errors.Is(err, net.ErrClosed):
			return nil
		}
		var passing interface{ Temporary() bool }
		if !errors.As(err, &passing) || !passing.Temporary() {
			return fmt.Errorf("accept on %s: %w", listener.Addr(), err)
		}
		log.Warn("cannot accept connections for now", "listener", listener.Addr().String(), "error", err.Error())
		if !sleep(ctx, pause) {
			return nil
		}
		pause = min(2*pause, maxPause)
	}
}

// end follows each handler. A panic in it is a defect of ours, but no reason to take the other connections down.
func end(conn net.Conn, log *slog.Logger, stop func() bool) {
	if defect := recover(); defect != nil {
		log.Error("defect while serving a connection", "panic", fmt.Sprint(defect), "peer", conn.RemoteAddr().String())
	}
	_ = conn.Close()
	stop()
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
