package forward_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/forward"
	"github.com/leno-mesh/leno/proxy/plan"
	"github.com/leno-mesh/leno/proxy/pool"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

// memory is a dialer whose connections end in memory.
type memory chan net.Conn

func (m memory) Dial(ctx context.Context, t pool.Target) (net.Conn, error) {
	here, there := net.Pipe()
	m <- there
	return here, nil
}

// last keeps the last record.
type last struct {
	record telemetry.Request
	drain  func()
}

func (l *last) Request(r *telemetry.Request)     { l.record = *r }
func (l *last) Connection(*telemetry.Connection) {}

// inVirtualTime runs a script with a client and the backend's side of the first connection, with hours passing in no
// time. When it returns, nothing of the server may be left running.
func inVirtualTime(t *testing.T, script func(t *testing.T, c *client, b func() *client, sink *last)) {
	synctest.Test(t, func(t *testing.T) {
		dialer := make(memory, 4)
		p := pool.New(pool.Options{Dialer: dialer})
		defer p.Close()
		addr := netip.MustParseAddrPort("10.0.0.1:80")
		pl := plan.Next(nil, &config.Config{})
		sink := &last{}
		server := forward.New(forward.Options{Pool: p, Sink: sink})
		here, there := net.Pipe()
		defer here.Close()
		go server.Serve(context.Background(), there, forward.Conn{Direction: telemetry.Inbound, MTLS: true,
			Resolve: func() *plan.Destination { return pl.Inbound(addr) }})
		sink.drain = server.Drain
		c := &client{t, here, bufio.NewReader(here)}
		script(t, c, func() *client {
			conn := <-dialer
			t.Cleanup(func() { conn.Close() })
			return &client{t, conn, bufio.NewReader(conn)}
		}, sink)
	})
}

func TestRestingConnectionIsClosedAfterAnHour(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, c *client, b func() *client, _ *last) {
		time.Sleep(30 * time.Minute) // buffers are given back meanwhile
		c.send(plainGet)
		up := b()
		up.head()
		up.send("HTTP/1.1 204 No Content\r\n\r\n")
		c.head()
		start := time.Now()
		if rest, err := c.rest(); rest != "" || err != nil {
			t.Errorf("%q %v", rest, err)
		}
		if took := time.Since(start); took < forward.DefaultIdle || took > forward.DefaultIdle+time.Minute {
			t.Errorf("closed after %v", took)
		}
	})
}

func TestSlowLorisIsAnswered(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, c *client, _ func() *client, sink *last) {
		go func() {
			for _, b := range []byte("GET / HTTP/1.1\r\nHost: h\r\nA: bcdefghijklmnopqrstuvwxyz") {
				time.Sleep(time.Second)
				if _, err := c.conn.Write([]byte{b}); err != nil {
					return
				}
			}
		}()
		start := time.Now()
		c.expect("HTTP/1.1 408 Request Timeout\r\n")
		if took := time.Since(start); took > forward.DefaultHeader+2*time.Second {
			t.Errorf("answered after %v", took)
		}
		c.rest()
		synctest.Wait()
		if sink.record.Flag != "header_timeout" {
			t.Errorf("record %+v", sink.record)
		}
		c.conn.Close()
		time.Sleep(time.Minute)
	})
}

func TestBodyThatStopsComing(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, c *client, b func() *client, sink *last) {
		c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n")
		up := b()
		up.head()
		c.send("ab")
		up.expect("ab")
		c.expect("HTTP/1.1 408 Request Timeout\r\n")
		if rest, _ := c.rest(); !strings.Contains(rest, "leno inbound: the request body stopped coming") {
			t.Errorf("%q", rest)
		}
		if rest, err := up.rest(); rest != "" || err != nil {
			t.Errorf("%q %v", rest, err)
		}
		synctest.Wait()
		if sink.record.Flag != "client_stalled" || sink.record.BytesIn != 2 {
			t.Errorf("record %+v", sink.record)
		}
	})
}

func TestLongWaitsOfTheBackendAreItsOwnBusiness(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, c *client, b func() *client, sink *last) {
		c.send(plainGet)
		up := b()
		up.head()
		time.Sleep(time.Hour) // long polling
		go up.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
		c.expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
		for range 3 { // server-sent events
			time.Sleep(time.Hour)
			go up.send("1\r\nb\r\n")
			c.expect("1\r\nb\r\n")
		}
		go up.send("0\r\n\r\n")
		c.expect("0\r\n\r\n")
		synctest.Wait()
		if d := sink.record.Duration; d < 4*time.Hour || d > 4*time.Hour+time.Minute {
			t.Errorf("recorded %v", d)
		}
	})
}

func TestClientThatStopsReading(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, c *client, b func() *client, sink *last) {
		c.send(plainGet)
		up := b()
		up.head()
		start := time.Now()
		up.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
		if _, err := up.r.ReadByte(); err != io.EOF { // the backend is let go
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took > 5*time.Minute {
			t.Errorf("after %v", took)
		}
		synctest.Wait()
		if sink.record.Flag != "client_gone" {
			t.Errorf("record %+v", sink.record)
		}
	})
}

func TestApplicationsCannotPretendToBeUnreachable(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, c *client, b func() *client, _ *last) {
		c.send(plainGet)
		up := b()
		up.head()
		go up.send("HTTP/1.1 503 No\r\nLeno-Unprocessed: connect\r\nContent-Length: 0\r\n\r\n")
		c.expect("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
	})
}

func TestSidecarsAreToldThatNothingWasProcessed(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, c *client, _ func() *client, server *last) {
		time.Sleep(time.Minute)
		go server.drain()
		c.expect("HTTP/1.1 503 Service Unavailable\r\nleno-unprocessed: drain\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		if rest, err := c.rest(); rest != "" || err != nil {
			t.Errorf("%q %v", rest, err)
		}
	})
}
