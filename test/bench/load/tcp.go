package load

import (
	"errors"
	"io"
	"net"
)

// Bulk is how many bytes one operation of [Download] moves.
const Bulk = 1 << 20

// download reads what an endless source sends.
type download struct {
	conn net.Conn
	buf  []byte
}

// Download opens n connections through which the backend sends as fast as it can.
func Download(address string, n int) ([]Worker, error) {
	return open(n, func() (Worker, error) {
		conn, err := dial(address)
		if err != nil {
			return nil, err
		}
		if _, err := conn.Write([]byte{'d'}); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return &download{conn, make([]byte, readSize)}, nil
	})
}

func (d *download) Close() error { return d.conn.Close() }

func (d *download) Do() error {
	for left := Bulk; left > 0; {
		n, err := d.conn.Read(d.buf[:min(left, len(d.buf))])
		if err != nil {
			return err
		}
		left -= n
	}
	return nil
}

// echo sends a message and waits until it has come back.
type echo struct {
	conn      net.Conn
	out, back []byte
}

// Echo opens n connections that send messages of size bytes to and fro.
func Echo(address string, size, n int) ([]Worker, error) {
	return open(n, func() (Worker, error) {
		conn, err := dial(address)
		if err != nil {
			return nil, err
		}
		message := make([]byte, size)
		message[0] = 'e'
		return &echo{conn, message, make([]byte, size)}, nil
	})
}

func (e *echo) Close() error { return e.conn.Close() }

func (e *echo) Do() error {
	if _, err := e.conn.Write(e.out); err != nil {
		return err
	}
	_, err := io.ReadFull(e.conn, e.back)
	return err
}
