package forward_test

import (
	"bufio"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/forward"
)

// response reads a whole response with Content-Length, or without any body.
func (c *client) response() (head, body string) {
	c.t.Helper()
	head = c.head()
	_, after, found := strings.Cut(head, "Content-Length: ")
	if !found {
		return head, ""
	}
	n := 0
	for _, d := range strings.SplitN(after, "\r", 2)[0] {
		n = n*10 + int(d-'0')
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(c.r, b); err != nil {
		c.t.Fatal(err)
	}
	return head, string(b)
}

// answered checks status, words and flag of an answer of the proxy's own.
func (w *world) answered(c *client, status, words, flag string) {
	w.t.Helper()
	head, body := c.response()
	if !strings.HasPrefix(head, "HTTP/1.1 "+status) {
		w.t.Errorf("got %q, want %s", head, status)
	}
	if !strings.HasPrefix(body, "leno outbound: ") || !strings.Contains(body, words) {
		w.t.Errorf("body %q does not say %q", body, words)
	}
	if r := w.record(); r.Flag != flag {
		w.t.Errorf("flag %q, want %q", r.Flag, flag)
	}
}

const plainGet = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

func TestRequestsThatAreRefused(t *testing.T) {
	for _, tc := range []struct{ name, request, status, words, flag string }{
		{"smuggling", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400", "both Content-Length", "bad_request"},
		{"header block", "GET / HTTP/1.1\r\nHost: h\r\nA: " + strings.Repeat("a", 130<<10) + "\r\n\r\n", "431", "128 KiB", "header_too_large"},
		{"fields", "GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("A: b\r\n", 200) + "\r\n", "431", "200", "header_too_large"},
		{"request line", "GET /" + strings.Repeat("a", 40<<10) + " HTTP/1.1\r\nHost: h\r\n\r\n", "414", "32 KiB", "uri_too_long"},
		{"CONNECT", "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n", "405", "CONNECT", "connect_refused"},
		{"bad chunk", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "400", "chunk size", "bad_request"},
		{"expectation", "GET / HTTP/1.1\r\nHost: h\r\nExpect: a miracle\r\n\r\n", "417", "100-continue", "bad_expectation"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w, _ := one(t)
			c := w.dial()
			go io.WriteString(c.conn, tc.request)
			w.answered(c, tc.status, tc.words, tc.flag)
		})
	}
}

// TestBodyLimit (RFC 9110 section 15.5.14): a body that announces its length never reaches the backend; one that grows over
// the limit is cut.
func TestBodyLimit(t *testing.T) {
	limited := func() (*world, *backend, *client) {
		w, b := one(t)
		w.cfg.Outbound[frontend].MaxRequestBody = 4
		return w, b, w.dial()
	}
	w, b, c := limited()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde" + plainGet)
	w.answered(c, "413", "its 5 bytes are more than the limit of 4", "body_too_large")
	up := b.accept() // the small rest was read over, and the connection goes on
	up.expect(plainGet)

	w, _, c = limited()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	w.answered(c, "413", "more than the limit of 4", "body_too_large")

	w, _, c = limited()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n")
	w.answered(c, "413", "more than the limit of 4 bytes", "body_too_large")

	w, b, c = limited()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n")
	up = b.accept()
	up.head()
	up.expect("4\r\nabcd\r\n")
	c.send("1\r\ne\r\n")
	w.answered(c, "413", "more than the limit of 4 bytes", "body_too_large")
	if rest, _ := up.rest(); rest != "" {
		t.Errorf("the backend got %q", rest)
	}

	_, b, c = limited()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nabcd")
	up = b.accept()
	up.head()
	up.expect("abcd")
}

func TestMalformedBodyOnItsWay(t *testing.T) {
	w, b := one(t)
	c := w.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
	up := b.accept()
	up.head()
	up.expect("1\r\na\r\n")
	c.send("zz\r\n")
	w.answered(c, "400", "chunk size", "bad_request")
	if rest, _ := up.rest(); rest != "" {
		t.Errorf("the backend got %q", rest)
	}
}

func TestBackendsThatFail(t *testing.T) {
	for _, tc := range []struct {
		name, answer, status, words, flag string
	}{
		{"closes", "", "502", "closed the connection", "upstream_reset"},
		{"closes in the head", "HTTP/1.1 200 OK\r\nA:", "502", "closed the connection", "upstream_reset"},
		{"garbage", "220 smtp ready\r\n\r\n", "502", "malformed status line", "upstream_garbage"},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "502", "Content-Length", "upstream_garbage"},
		{"head too large", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 140<<10), "502", "128 KiB", "upstream_header_too_large"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w, b := one(t)
			c := w.dial()
			c.send(plainGet)
			up := b.accept()
			up.head()
			go func() {
				io.WriteString(up.conn, tc.answer)
				up.conn.Close()
			}()
			w.answered(c, tc.status, tc.words, tc.flag)
			c.send(plainGet) // the client's connection goes on
			b.accept().head()
		})
	}
}

func TestTruncatedResponseIsNotTakenForAWholeOne(t *testing.T) {
	for _, framing := range []string{"Content-Length: 9", "Transfer-Encoding: chunked"} {
		w, b := one(t)
		c := w.dial()
		c.send("GET / HTTP/1.0\r\n\r\n")
		up := b.accept()
		up.head()
		up.send("HTTP/1.1 200 OK\r\n" + framing + "\r\n\r\n5\r\nab")
		c.head()
		up.conn.Close()
		if rest, err := c.rest(); err == nil {
			t.Errorf("%s: orderly end after %q", framing, rest)
		}
		if r := w.record(); r.Flag != "upstream_reset" || r.Code != 200 {
			t.Errorf("record %+v", r)
		}
	}
}

func TestNobodyToAnswer(t *testing.T) {
	w := newWorld(t)
	w.cfg.Clusters["c"] = &config.Cluster{Name: "c"}
	w.straight()
	c := w.dial()
	c.send(plainGet)
	w.answered(c, "503", "no endpoint", "no_endpoints")

	gone := listen(t)
	addr := gone.Addr().String()
	gone.Close()
	next := *w.cfg
	next.Clusters = map[string]*config.Cluster{}
	w.cfg = &next
	w.cluster("c", addr)
	c = w.dial()
	c.send(plainGet)
	w.answered(c, "503", "connecting to the backend failed: "+addr, "connect_failed")
}

func TestConnectFailureGoesToAnotherEndpoint(t *testing.T) {
	w, b := one(t)
	gone := listen(t)
	w.cluster("c", gone.Addr().String())
	gone.Close()
	dead := w.cfg.Clusters["c"].Endpoints
	w.cluster("c", b.addr())
	w.cfg.Clusters["c"].Endpoints = append(dead, w.cfg.Clusters["c"].Endpoints...)
	c := w.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab") // no backend has seen it: safe for any method
	up := b.accept()
	up.head()
	up.expect("ab")
	up.send("HTTP/1.1 204 No Content\r\n\r\n")
	c.expect("HTTP/1.1 204 No Content\r\n\r\n")
}

// prime makes an exchange, so that the backend's connection is kept for the next one.
func prime(w *world, b *backend) (*client, *client) {
	c := w.dial()
	c.send(plainGet)
	up := b.accept()
	up.head()
	up.send("HTTP/1.1 204 No Content\r\n\r\n")
	c.head()
	w.record()
	return c, up
}

func TestConnectionClosedWhileIdleIsNotUsed(t *testing.T) {
	w, b := one(t)
	c, up := prime(w, b)
	up.conn.Close()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
	up = b.accept()
	up.head()
	up.send("HTTP/1.1 204 No Content\r\n\r\n")
	c.expect("HTTP/1.1 204 No Content\r\n\r\n")
}

func TestResetOnReuse(t *testing.T) {
	for method, again := range map[string]bool{"GET": true, "PUT": true, "POST": false, "PATCH": false} {
		t.Run(method, func(t *testing.T) {
			w, b := one(t)
			c, up := prime(w, b)
			c.send(method + " / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab")
			up.head()
			up.conn.(*net.TCPConn).SetLinger(0)
			up.conn.Close()
			if !again {
				w.answered(c, "502", "closed the connection", "upstream_reset")
				return
			}
			up = b.accept()
			up.head()
			up.expect("ab")
			up.send("HTTP/1.1 204 No Content\r\n\r\n")
			c.expect("HTTP/1.1 204 No Content\r\n\r\n")
		})
	}
}

func TestContextCutsEverything(t *testing.T) {
	w, b := one(t)
	c := w.dial()
	c.send(plainGet)
	up := b.accept()
	up.head()
	w.cut()
	w.wg.Wait()
	if _, err := up.rest(); err != nil {
		t.Errorf("backend: %v", err)
	}
	if rest, _ := c.rest(); rest != "" {
		t.Errorf("client got %q", rest)
	}
}

// TestApplicationThatIsNotThere: the receiving sidecar says that it could not reach its application. The request was
// not processed, so any method may go to another endpoint; but only a peer with an identity is believed.
func TestApplicationThatIsNotThere(t *testing.T) {
	const refusal = "HTTP/1.1 503 Service Unavailable\r\nleno-unprocessed: connect\r\nContent-Length: 2\r\n\r\nno"
	for _, identity := range []string{"spiffe://d/ns/n/sa/s", ""} {
		w, first := one(t)
		second := w.backend()
		w.cluster("d", second.addr())
		both := slices.Concat(w.cfg.Clusters["c"].Endpoints, w.cfg.Clusters["d"].Endpoints)
		for i := range both {
			both[i].Identity = identity
		}
		w.cfg.Clusters["c"].Endpoints = both
		c := w.dial()
		c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab")
		conns := make(chan *client)
		for _, b := range []*backend{first, second} {
			go func() {
				if conn, err := b.l.Accept(); err == nil {
					conns <- &client{t, conn, bufio.NewReader(conn)}
				}
			}()
		}
		up := <-conns
		up.head()
		up.expect("ab")
		up.send(refusal)
		if identity == "" {
			c.expect("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno")
			continue
		}
		up = <-conns
		up.head()
		up.expect("ab")
		up.send("HTTP/1.1 204 No Content\r\n\r\n")
		c.expect("HTTP/1.1 204 No Content\r\n\r\n")
	}
}

func TestOverload(t *testing.T) {
	w, b := one(t)
	w.server = forward.New(forward.Options{Pool: w.pool, Sink: w, MaxInFlight: 1})
	busy, refused := w.dial(), w.dial()
	busy.send(plainGet)
	up := b.accept()
	up.head()
	refused.send(plainGet)
	w.answered(refused, "503", "too many", "overload")
	up.send("HTTP/1.1 204 No Content\r\n\r\n")
	busy.head()
	w.record()
	refused.send(plainGet)
	up.head()
}
