package forward_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/msg"
	"github.com/leno-mesh/leno/test/smuggling"
)

// recorder is a backend of another make: net/http reads the requests. It answers each whole one and keeps every octet.
type recorder struct {
	wg sync.WaitGroup

	mu    sync.Mutex // guards the rest
	whole []smuggling.Request
	wires []*bytes.Buffer // by connection
}

func record(l net.Listener) *recorder {
	r := &recorder{}
	r.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			r.wg.Go(func() { r.serve(conn) })
		}
	})
	return r
}

func (r *recorder) serve(conn net.Conn) {
	defer conn.Close()
	wire := new(bytes.Buffer)
	r.mu.Lock()
	r.wires = append(r.wires, wire)
	r.mu.Unlock()
	in := bufio.NewReader(io.TeeReader(conn, wire))
	for {
		request, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return
		}
		r.mu.Lock()
		r.whole = append(r.whole, smuggling.Request{Method: request.Method, Target: request.RequestURI, Host: request.Host, Body: string(body)})
		r.mu.Unlock()
		if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); err != nil {
			return
		}
	}
}

// reread reads the whole requests among the octets of a connection with the proxy's own codec.
func reread(t *testing.T, wire []byte) (list []smuggling.Request) {
	for {
		end, err := http1.HeadEnd(wire, 0)
		if err != nil {
			t.Fatalf("what the backend got is malformed: %v in %q", err, wire)
		}
		if end == 0 {
			return list
		}
		var req msg.Request
		if err := http1.ParseRequest(wire[:end], &req); err != nil {
			t.Fatalf("what the backend got is malformed: %v in %q", err, wire[:end])
		}
		one := smuggling.Request{Method: string(req.Method), Target: string(req.Path), Host: string(req.Authority)}
		if req.HasQuery {
			one.Target += "?" + string(req.Query)
		}
		wire = wire[end:]
		switch req.Body.Kind {
		case msg.Sized:
			if req.Body.Length > int64(len(wire)) {
				return list
			}
			one.Body, wire = string(wire[:req.Body.Length]), wire[req.Body.Length:]
		case msg.Chunked:
			var chunks http1.Chunks
			data, n, err := chunks.Decode(nil, wire)
			if err != nil {
				t.Fatalf("what the backend got is malformed: %v in %q", err, wire)
			}
			if !chunks.Done() {
				return list
			}
			one.Body, wire = string(data), wire[n:]
		default: // none
		}
		list = append(list, one)
	}
}

// TestNoRequestIsSmuggled sends each case of the table through a proxy. Two readers of different makes must find in what
// the backend got the requests that the table names, and nothing else.
func TestNoRequestIsSmuggled(t *testing.T) {
	for _, c := range smuggling.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			t.Run("at once", func(t *testing.T) { smuggle(t, c, len(c.Raw)) })
			t.Run("in pieces", func(t *testing.T) { smuggle(t, c, 5) })
		})
	}
}

// smuggle sends a case, piece octets at a time.
func smuggle(t *testing.T, c smuggling.Case, piece int) {
	w, b := one(t)
	backend := record(b.l)
	client := w.dial()
	for left := c.Raw; left != ""; {
		n := min(piece, len(left))
		client.send(left[:n])
		left = left[n:]
	}
	client.conn.(interface{ CloseWrite() error }).CloseWrite()
	answers(t, c, client)

	w.wg.Wait() // the proxy is done with the connection
	w.pool.Close()
	b.l.Close()
	backend.wg.Wait()
	if len(backend.whole)+len(c.Reaches) > 0 && !reflect.DeepEqual(backend.whole, c.Reaches) {
		t.Errorf("RFC %s: net/http at the backend read\n%q\nwant\n%q", c.RFC, backend.whole, c.Reaches)
	}
	var again []smuggling.Request
	for _, wire := range backend.wires {
		again = append(again, reread(t, wire.Bytes())...)
	}
	if len(again)+len(c.Reaches) > 0 && !reflect.DeepEqual(again, c.Reaches) {
		t.Errorf("RFC %s: our own codec at the backend read\n%q\nwant\n%q", c.RFC, again, c.Reaches)
	}
}

// answers reads what the client gets: an answer to each request that was passed on, then the refusal, then the end.
func answers(t *testing.T, c smuggling.Case, client *client) {
	t.Helper()
	for range c.Reaches {
		if head := client.head(); !strings.HasPrefix(head, "HTTP/1.1 200 ") {
			t.Errorf("RFC %s: answered %q", c.RFC, head)
			return
		}
	}
	if c.Status != 0 {
		head, body := client.response()
		status := fmt.Sprintf("HTTP/1.1 %d ", c.Status)
		if !strings.HasPrefix(head, status) || !strings.HasPrefix(body, "leno outbound: ") || !strings.Contains(body, c.Says) {
			t.Errorf("RFC %s: refused with %q %q, want %d %q of this hop", c.RFC, head, body, c.Status, c.Says)
		}
		if !strings.Contains(head, "\r\nConnection: close\r\n") {
			t.Errorf("RFC %s: the connection would go on: %q", c.RFC, head)
		}
	}
	if rest, err := client.rest(); rest != "" || err != nil {
		t.Errorf("RFC %s: after the last answer: %q %v", c.RFC, rest, err)
	}
}
