//go:build fault

package fault_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// requests is a stream of POST requests whose answers are their bodies.
type requests struct {
	url     string
	client  *http.Client
	message string
	until   time.Time
}

func newRequests(address string) *requests {
	return &requests{url: "http://" + address + "/echo", client: &http.Client{Transport: &http.Transport{}}}
}

func (r *requests) send(m string) error { r.message = m; return nil }

func (r *requests) receive() (string, error) {
	ctx, cancel := context.WithDeadline(context.Background(), r.until)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, strings.NewReader(r.message))
	if err != nil {
		return "", err
	}
	response, err := r.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", response.StatusCode)
	}
	return string(text), err
}

func (r *requests) deadline(t time.Time) { r.until = t }

func (r *requests) close() { r.client.CloseIdleConnections() }

// raw is a client that sends what the test says, byte by byte.
type raw struct {
	*net.TCPConn
	in *bufio.Reader
}

// dial connects to a Service, as "server:81". The connection ends with clean, or with the test.
func (c *cluster) dial(service string) *raw {
	c.t.Helper()
	conn, err := net.DialTimeout("tcp", c.way(service), patience)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(5 * time.Minute))
	c.clients = append(c.clients, conn)
	return &raw{conn.(*net.TCPConn), bufio.NewReader(conn)}
}

func (r *raw) say(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(r, text); err != nil {
		t.Fatal(err)
	}
}

// outcome is what a client sees of an exchange.
type outcome struct {
	status int   // 0: no head came
	err    error // how the body or the connection ended
	body   string
	took   time.Duration
}

func (o outcome) String() string {
	return fmt.Sprintf("status %d, body %.40q, %v, after %s", o.status, o.body, o.err, o.took)
}

// hear reads one answer.
func (r *raw) hear(method string) outcome {
	began := time.Now()
	response, err := http.ReadResponse(r.in, &http.Request{Method: method})
	if err != nil {
		return outcome{err: err, took: time.Since(began)}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return outcome{response.StatusCode, err, string(body), time.Since(began)}
}

// ask sends a request and reads its answer.
func (r *raw) ask(t *testing.T, method, body string) outcome {
	t.Helper()
	r.say(t, fmt.Sprintf("%s / HTTP/1.1\r\nHost: server\r\nContent-Length: %d\r\n\r\n%s", method, len(body), body))
	return r.hear(method)
}

// closedBy tells whether the peer ends the connection within a limit, with or without further bytes.
func (r *raw) closedBy(limit time.Duration) bool {
	_ = r.SetReadDeadline(time.Now().Add(limit))
	_, err := io.Copy(io.Discard, r.in)
	var timeout net.Error
	return !errors.As(err, &timeout) || !timeout.Timeout()
}

// reset closes a connection with RST.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}
