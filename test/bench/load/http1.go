package load

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// readSize is how much of a body is read at once.
const readSize = 256 << 10

// patience is how long a connection may rest within an operation before the proxy counts as stuck.
const patience = 20 * time.Second

// http1 is a connection that sends the same GET again and again.
type http1 struct {
	conn    net.Conn
	request []byte
	buf     []byte
	head    []byte // of the last answer
	length  int    // that it announced
	want    int
}

// HTTP1 opens n connections to a proxy. Each asks for path, and expects 200 with a body of size bytes.
func HTTP1(address, path string, size, n int) ([]Worker, error) {
	request := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: web.bench.svc.cluster.local\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n\r\n", path)
	return open(n, func() (Worker, error) {
		conn, err := dial(address)
		if err != nil {
			return nil, err
		}
		return &http1{conn: conn, request: request, buf: make([]byte, min(readSize, size+4096)), want: size}, nil
	})
}

// open makes n workers, or none.
func open(n int, one func() (Worker, error)) ([]Worker, error) {
	workers := make([]Worker, 0, n)
	for range n {
		w, err := one()
		if err != nil {
			CloseAll(workers)
			return nil, err
		}
		workers = append(workers, w)
	}
	return workers, nil
}

func dial(address string) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return nil, err
	}
	return conn, nil
}

func (w *http1) Close() error { return w.conn.Close() }

var headEnd = []byte("\r\n\r\n")

func (w *http1) Do() error {
	if _, err := w.conn.Write(w.request); err != nil {
		return err
	}
	filled, head := 0, -1
	for head < 0 {
		if filled == len(w.buf) {
			return fmt.Errorf("answer with a head of more than %d bytes", filled)
		}
		n, err := w.conn.Read(w.buf[filled:])
		if err != nil {
			return fmt.Errorf("read head: %w", err)
		}
		filled += n
		head = bytes.Index(w.buf[:filled], headEnd)
	}
	if err := w.readHead(w.buf[:head+2]); err != nil {
		return err
	}
	left := w.length - (filled - head - len(headEnd))
	for left > 0 {
		n, err := w.conn.Read(w.buf[:min(left, len(w.buf))])
		if err != nil {
			return fmt.Errorf("read body: %w", err)
		}
		left -= n
	}
	if left < 0 {
		return fmt.Errorf("%d bytes after the answer", -left)
	}
	return nil
}

// readHead checks an answer's head. Equal heads are checked once.
func (w *http1) readHead(head []byte) error {
	if bytes.Equal(head, w.head) {
		return nil
	}
	length, err := parseHead(head)
	if err != nil {
		return err
	}
	if length != w.want {
		return fmt.Errorf("answer of %d bytes, expected %d", length, w.want)
	}
	w.head, w.length = append(w.head[:0], head...), length
	return nil
}

// parseHead reads the Content-Length of a head that must be an answer of 200.
func parseHead(head []byte) (int, error) {
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) {
		return 0, fmt.Errorf("answer %.200q", head)
	}
	for line := range bytes.Lines(head) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if ok && bytes.EqualFold(name, []byte("content-length")) {
			return strconv.Atoi(string(bytes.TrimSpace(value)))
		}
	}
	return 0, fmt.Errorf("answer without Content-Length: %.200q: %w", head, io.ErrUnexpectedEOF)
}
