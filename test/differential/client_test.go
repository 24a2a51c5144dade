//go:build differential

package differential

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// request is what is sent to a destination, over both planes.
type request struct {
	name string
	to   *destination
	// raw is sent as it is, in HTTP/1.1.
	raw string
	// http2 is sent instead, if there is one.
	http2 *stream2
	// then is sent after an interim answer: the body that Expect waits for, or what follows an upgrade.
	then string
	// again tells to send a plain request on the same connection afterwards.
	again bool
	// malformed requests are compared by the class of their status: how to say no is left to each.
	malformed bool
	// share is how many times the request is sent to compare how backends share the load; 0: once.
	share int
	// session tells to begin a session by it, and to go on with that.
	session bool
}

// outcome is what became of a request.
type outcome struct {
	interim []int // statuses before the final answer
	answer  *message
	status  int
	end     string // how the answer ended, "" in order
	again   string // what became of a second request on the connection
	seen    []seen
}

// wait is how long a plane may take to answer.
const wait = 1500 * time.Millisecond

// exchangeHTTP1 sends a request in HTTP/1.1 to an address and reads what comes back.
func exchangeHTTP1(address string, r *request) outcome {
	var o outcome
	conn, err := net.Dial("tcp", address)
	if err != nil {
		o.end = "not connected"
		return o
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(wait))
	if _, err := io.WriteString(conn, r.raw); err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		o.end = ended(err)
		return o
	}
	in := bufio.NewReaderSize(conn, 256<<10)
	o.read(conn, in, r)
	if r.again && o.end == "" && o.answer != nil {
		o.again = again(conn, in)
	}
	return o
}

func (o *outcome) read(conn net.Conn, in *bufio.Reader, r *request) {
	for {
		m, err := readHead(in)
		if err != nil {
			o.end = ended(err)
			return
		}
		o.status = status(m)
		if o.status == 101 || o.status < 200 && o.status != 0 && r.then != "" {
			if _, err := io.WriteString(conn, r.then); err != nil {
				o.end = ended(err)
			}
		}
		if o.status == 101 {
			o.answer = m
			if _, err := in.Peek(1); err == nil {
				body := make([]byte, 4)
				n, _ := io.ReadFull(in, body)
				m.body = string(body[:n])
			}
			return
		}
		if o.status < 200 && o.status != 0 {
			o.interim = append(o.interim, o.status)
			continue
		}
		o.answer = m
		if !bodiless(r, o.status) {
			if err := readBody(in, m, true); err != nil {
				o.end = ended(err)
			}
		}
		return
	}
}

func bodiless(r *request, status int) bool {
	return strings.HasPrefix(r.raw, "HEAD ") || status == 204 || status == 304
}

// again asks once more on an open connection.
func again(conn net.Conn, in *bufio.Reader) string {
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: again\r\nX-Answer: empty\r\n\r\n"); err != nil {
		return "closed"
	}
	m, err := readHead(in)
	if err != nil {
		return "closed"
	}
	return m.start
}

// ended names the error that reading ended with.
func ended(err error) string {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "nothing came"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "cut" // by reset or by closing is the same to a client
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "cut"
	}
	return err.Error()
}

func status(m *message) int {
	_, rest, _ := strings.Cut(m.start, " ")
	code, _, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(code)
	if err != nil {
		return 0
	}
	return n
}
