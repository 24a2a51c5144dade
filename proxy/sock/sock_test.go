package sock_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/leno-mesh/leno/proxy/sock"
)

// patience bounds every wait; nothing that works gets near it.
const patience = 10 * time.Second

// pair is a wrapped connection over loopback and the other end of it.
func pair(t testing.TB) (wrapped net.Conn, peer *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialled, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialled.Close(); accepted.Close() })
	dialled.SetDeadline(time.Now().Add(patience))
	accepted.SetDeadline(time.Now().Add(patience))
	return sock.Wrap(accepted), dialled.(*net.TCPConn)
}

func TestBytesPassBothWays(t *testing.T) {
	c, peer := pair(t)
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB: more than socket buffers hold, so both sides wait
	written := make(chan error, 1)
	go func() {
		_, err := c.Write(sent)
		written <- err
	}()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(peer, got); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("the peer did not get what was written (%v)", err)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	go func() {
		_, err := peer.Write(sent)
		written <- err
	}()
	clear(got)
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("what the peer wrote was not read (%v)", err)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
}

func TestEndOfStream(t *testing.T) {
	c, peer := pair(t)
	if err := peer.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("read %d, %v after the peer's end, want EOF", n, err)
	}
	if _, err := c.Write([]byte("x")); err != nil {
		t.Errorf("half-closed by the peer, writing fails: %v", err)
	}
	if n, err := c.Read(nil); n != 0 || err != nil {
		t.Errorf("reading nothing gave %d, %v", n, err)
	}
}

func TestReset(t *testing.T) {
	c, peer := pair(t)
	if err := peer.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	peer.Close()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read after a reset: %v", err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write after a reset: %v", err)
	}
}

func TestDeadlines(t *testing.T) {
	c, _ := pair(t)
	c.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
	c.SetWriteDeadline(time.Now().Add(time.Millisecond))
	if _, err := c.Write(make([]byte, 64<<20)); !errors.Is(err, os.ErrDeadlineExceeded) { // nobody reads
		t.Errorf("write: %v", err)
	}
}

func TestCloseWakes(t *testing.T) {
	c, _ := pair(t)
	ended := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		ended <- err
	}()
	c.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("read: %v", err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write: %v", err)
	}
}

func TestOthersStayAsTheyAre(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	if sock.Wrap(here) != here {
		t.Error("a pipe was wrapped")
	}
}
