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
	t.Helper()
	pl := plan.Next(nil, &config.Config{})
	inVirtualTimeTo(t, telemetry.Inbound, pl.Inbound(netip.MustParseAddrPort("10.0.0.1:80")), script)
}

func inVirtualTimeTo(t *testing.T, direction telemetry.Direction, to *plan.Destination,
	script func(t *testing.T, c *client, b func() *client, sink *last)) {
	synctest.Test(t, func(t *testing.T) {
		dialer := make(memory, 4)
		p := pool.New(pool.Options{Dialer: dialer})
		defer p.Close()
		sink := &last{}
		server := forward.New(forward.Options{Pool: p, Sink: sink})
		here, there := net.Pipe()
		defer here.Close()
		go server.Serve(context.Background(), there, &forward.Conn{Direction: direction, MTLS: direction == telemetry.Inbound,
			Resolve: func() *plan.Destination { return to }})
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

func TestTimeoutsOfRoutes(t *testing.T) {
	for _, tc := range []struct {
		name   string
		action config.Action
		flag   string
	}{
		{"request", config.Action{Timeout: time.Second}, "request_timeout"},
		{"backend", config.Action{BackendTimeout: time.Second}, "backend_timeout"},
		{"the shorter one", config.Action{Timeout: time.Hour, BackendTimeout: time.Second}, "backend_timeout"},
		{"the shorter one, turned round", config.Action{Timeout: time.Second, BackendTimeout: time.Hour}, "request_timeout"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := tc.action
			a.Backends = []config.Backend{{Cluster: "c", Weight: 1}}
			pl := plan.Next(nil, &config.Config{
				Outbound: map[netip.AddrPort]*config.Listener{frontend: {Routes: "t"}},
				Clusters: map[string]*config.Cluster{"c": {Endpoints: []config.Endpoint{{Address: frontend}}}},
				Routes:   map[string]*config.RouteTable{"t": {Entries: []config.Entry{{Action: &a}}}},
			})
			d, _ := pl.Outbound(frontend)
			inVirtualTimeTo(t, telemetry.Outbound, d, func(t *testing.T, c *client, b func() *client, sink *last) {
				start := time.Now()
				c.send(plainGet)
				up := b()
				up.head()
				head, body := c.response()
				if !strings.HasPrefix(head, "HTTP/1.1 504 ") || !strings.Contains(body, "timeout") || time.Since(start) != time.Second {
					t.Errorf("after %v: %q %q", time.Since(start), head, body)
				}
				if rest, err := up.rest(); rest != "" || err != nil {
					t.Errorf("the backend got %q, %v", rest, err)
				}
				synctest.Wait()
				if sink.record.Flag != tc.flag || sink.record.Code != 504 {
					t.Errorf("record %+v", sink.record)
				}
				// A response in time, on the same connection. The time includes the body: what comes too late is cut.
				c.send(plainGet)
				up = b()
				up.head()
				go up.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
				c.expect("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
				if rest, _ := c.rest(); rest != "" {
					t.Errorf("the client got %q", rest)
				}
				synctest.Wait()
				if sink.record.Flag != tc.flag || sink.record.Code != 200 {
					t.Errorf("record %+v", sink.record)
				}
			})
		})
	}
}

// TestHalfAResponseEndsItsConnection: what would still come of it must never be read as the beginning of another (RFC 9112
// section 9.3).
func TestHalfAResponseEndsItsConnection(t *testing.T) {
	pl := plan.Next(nil, &config.Config{
		Outbound: map[netip.AddrPort]*config.Listener{frontend: {Routes: "t"}},
		Clusters: map[string]*config.Cluster{"c": {Endpoints: []config.Endpoint{{Address: frontend}}}},
		Routes: map[string]*config.RouteTable{"t": {Entries: []config.Entry{{Action: &config.Action{
			Timeout: time.Minute, Backends: []config.Backend{{Cluster: "c", Weight: 1}},
		}}}}},
	})
	d, _ := pl.Outbound(frontend)
	for name, half := range map[string]string{
		"sized":          "HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\nbegin",
		"large":          "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbegin",
		"chunked":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nbegin",
		"between chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\n",
	} {
		for how, end := range map[string]func(c *client){
			"the time is up":  func(*client) {},
			"the client ends": func(c *client) { c.conn.Close() },
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				inVirtualTimeTo(t, telemetry.Outbound, d, func(t *testing.T, c *client, b func() *client, sink *last) {
					start := time.Now()
					c.send(plainGet)
					up := b()
					up.head()
					go up.send(half)
					c.head()
					go io.Copy(io.Discard, c.r)
					synctest.Wait()
					end(c)
					if rest, err := up.rest(); rest != "" || err != nil || time.Since(start) > time.Minute {
						t.Errorf("the backend got %q, %v, after %v", rest, err, time.Since(start))
					}
					synctest.Wait()
					if sink.record.Code != 200 || sink.record.Flag == "" {
						t.Errorf("record %+v", sink.record)
					}
				})
			})
		}
	}
}
