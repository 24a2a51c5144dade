package forward_test

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leno-mesh/leno/proxy/pool"
	"github.com/leno-mesh/leno/proxy/sock"
)

// seen is a connection that tells of each piece that the server has read, after it dealt with it.
type seen struct {
	*sock.Conn
	pieces chan int
	gate   sync.Mutex // while it is locked, the server does not read
}

func (s *seen) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	s.pieces <- n
	return n, err
}

func (s *seen) ReadEach(room func() []byte, got func(n int) bool) error {
	return s.Conn.ReadEach(func() []byte {
		s.gate.Lock()
		defer s.gate.Unlock()
		return room()
	}, func(n int) bool {
		stay := got(n)
		s.pieces <- n
		return stay
	})
}

// warm is a client whose connection has carried an exchange already, and what the server sees of it.
func warm(t *testing.T) (*world, *client, *client, *seen) {
	w, b := one(t)
	s := &seen{pieces: make(chan int, 1000)}
	w.over = func(c net.Conn) net.Conn { s.Conn = c.(*sock.Conn); return s }
	c := w.dial()
	c.send(plainGet)
	up := b.accept()
	up.expect(plainGet)
	up.send(okay)
	c.expect(okay)
	w.record()
	<-s.pieces
	return w, c, up, s
}

const (
	okay      = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	smallPost = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
)

// TestRequestsInTwoPieces: wherever a request is cut, the rest is not missed.
func TestRequestsInTwoPieces(t *testing.T) {
	_, c, up, s := warm(t)
	for _, request := range []string{plainGet, smallPost} {
		for cut := 1; cut < len(request); cut++ {
			c.send(request[:cut])
			if n := <-s.pieces; n != cut {
				t.Fatalf("read %d bytes of %d", n, cut)
			}
			c.send(request[cut:])
			up.expect(request)
			<-s.pieces
			up.send(okay)
			c.expect(okay)
		}
	}
}

// TestPipelinedOnAWarmConnection: the next request, or a part of it, comes before, during and after the answer to the first.
func TestPipelinedOnAWarmConnection(t *testing.T) {
	_, c, up, _ := warm(t)
	for cut := 0; cut <= len(smallPost); cut += 7 {
		for _, when := range []string{"before", "during", "after"} {
			first, second := smallPost[:cut], smallPost[cut:]
			if c.send(plainGet + first); when == "before" {
				c.send(second)
			}
			if up.expect(plainGet); when == "during" {
				c.send(second)
			}
			up.send(okay)
			if c.expect(okay); when == "after" {
				c.send(second)
			}
			up.expect(smallPost)
			up.send(okay)
			c.expect(okay)
		}
	}
}

// TestRequestsThatDoNotComeAsAWhole go the usual way, and the connection is as good as before.
func TestRequestsThatDoNotComeAsAWhole(t *testing.T) {
	_, c, up, _ := warm(t)
	large := pattern(300 << 10)
	for range 2 {
		upload := fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", len(large), large)
		go c.conn.Write([]byte(upload))
		up.expect(upload)
		up.send(okay)
		c.expect(okay)
		chunked := "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
		c.send(chunked)
		up.expect(chunked)
		up.send(okay)
		c.expect(okay)
		c.send(plainGet)
		up.expect(plainGet)
		up.send(okay)
		c.expect(okay)
	}
	c.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	up.head()
	up.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	c.head()
	c.send("there")
	up.expect("there")
	up.send("back")
	c.expect("back")
}

// TestEndThatCameWithARequest: a client that ends its direction together with its request gets the answer, and the
// connection ends although nothing tells of that end any more.
func TestEndThatCameWithARequest(t *testing.T) {
	_, c, up, s := warm(t)
	s.gate.Lock()
	c.send(plainGet)
	if err := c.conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	for watch, until := pool.NewWatch(s.Conn), time.Now().Add(patience); !watch.Gone(); {
		if time.Now().After(until) {
			t.Fatal("the end never came")
		}
	}
	s.gate.Unlock()
	up.expect(plainGet)
	up.send(okay)
	c.expect(okay)
	if rest, err := c.rest(); rest != "" || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
}

// TestLastRequestOfAWarmConnection: what ends a connection does so after later requests, too.
func TestLastRequestOfAWarmConnection(t *testing.T) {
	closing := strings.Replace(okay, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1)
	for name, tc := range map[string]struct {
		request string
		during  func(w *world)
		want    string
	}{
		"the client wants it": {"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", func(*world) {}, closing},
		"drain":               {plainGet, func(w *world) { w.server.Drain() }, closing},
		"context":             {plainGet, func(w *world) { w.cut(); w.wg.Wait() }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w, c, up, _ := warm(t)
			c.send(tc.request)
			up.head()
			tc.during(w)
			if tc.want != "" {
				up.send(okay)
			}
			if rest, _ := c.rest(); rest != tc.want {
				t.Errorf("%q, want %q", rest, tc.want)
			}
			w.wg.Wait()
		})
	}
}

// TestRestingConnectionsEnd when the context does, and in a drain, after requests that were served while waiting.
func TestRestingConnectionsEnd(t *testing.T) {
	for name, end := range map[string]func(w *world){
		"drain": func(w *world) { w.server.Drain() }, "context": func(w *world) { w.cut() },
	} {
		t.Run(name, func(t *testing.T) {
			w, c, up, s := warm(t)
			c.send(plainGet)
			up.expect(plainGet)
			up.send(okay)
			c.expect(okay)
			<-s.pieces
			end(w)
			w.wg.Wait()
			if rest, _ := c.rest(); rest != "" {
				t.Errorf("%q", rest)
			}
		})
	}
}
