package forward_test

import (
	"bufio"
	"context"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/forward"
	"github.com/leno-mesh/leno/proxy/plan"
	"github.com/leno-mesh/leno/proxy/pool"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

// TestRestingConnectionIsSmall: a connection that rests costs a goroutine and a few words, no buffers.
func TestRestingConnectionIsSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, most = 500, 16 << 10 // about 8 KiB; the race detector needs half as much again
		dialer := make(memory, n)
		p := pool.New(pool.Options{Dialer: dialer})
		defer p.Close()
		pl := plan.Next(nil, &config.Config{})
		d := pl.Inbound(netip.MustParseAddrPort("10.0.0.1:80"))
		server := forward.New(forward.Options{Pool: p})
		ctx, cut := context.WithCancel(context.Background())
		defer cut()
		before := inUse()
		for range n {
			here, there := net.Pipe()
			go server.Serve(ctx, there, &forward.Conn{Direction: telemetry.Inbound, Resolve: func() *plan.Destination { return d }})
			c := &client{t, here, bufio.NewReaderSize(here, 16)}
			c.send(plainGet)
			synctest.Wait()
			select {
			case conn := <-dialer:
				go loop(conn, len(plainGet), []byte("HTTP/1.1 204 No Content\r\n\r\n"))
			default: // an idle one is used again
			}
			c.head()
		}
		time.Sleep(10 * time.Second) // buffers are given back, backends let go
		time.Sleep(time.Minute)
		synctest.Wait()
		if each := (inUse() - before) / n; each > most {
			t.Errorf("%d bytes for each resting connection, both of its ends included", each)
		} else {
			t.Logf("%d bytes for each resting connection, both of its ends included", each)
		}
		cut()
		synctest.Wait()
	})
}

func inUse() int {
	runtime.GC()
	runtime.GC() // the first one only moves pooled buffers aside
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapInuse + m.StackInuse)
}
