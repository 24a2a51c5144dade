package sock

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// joint is a source and a sink with the other ends of both.
func joint(t *testing.T) (s *Splice, from, to *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var wrapped [2]net.Conn
	var peers [2]*net.TCPConn
	for i := range wrapped {
		dialled, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		accepted, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { dialled.Close(); accepted.Close() })
		for _, c := range []net.Conn{dialled, accepted} {
			c.SetDeadline(time.Now().Add(10 * time.Second))
		}
		wrapped[i], peers[i] = Wrap(accepted), dialled.(*net.TCPConn)
	}
	if s = NewSplice(wrapped[1], wrapped[0]); s == nil {
		t.Fatal("no splice")
	}
	return s, peers[0], peers[1]
}

func TestSpliceMovesEverything(t *testing.T) {
	s, from, to := joint(t)
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB: more than sockets and pipe hold
	go func() {
		from.Write(sent)
		from.CloseWrite()
	}()
	got := make(chan []byte, 1)
	go func() {
		b := make([]byte, len(sent))
		n, _ := io.ReadFull(to, b)
		got <- b[:n]
	}()
	left := int64(len(sent))
	for left > 0 {
		n, err := s.Fill(left)
		if err != nil {
			t.Fatal(err)
		}
		left -= int64(n)
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(<-got, sent) {
		t.Error("the sink did not get what the source sent")
	}
	if _, err := s.Fill(1); !errors.Is(err, io.EOF) {
		t.Errorf("%v, want EOF", err)
	}
	s.Release()
}

// TestSpliceTakesNoMoreThanAsked: the rest can be read.
func TestSpliceTakesNoMoreThanAsked(t *testing.T) {
	s, from, to := joint(t)
	defer s.Release()
	from.Write([]byte("first|second"))
	for left := int64(6); left > 0; {
		n, err := s.Fill(left)
		if err != nil || s.Flush() != nil {
			t.Fatal(err)
		}
		left -= int64(n)
	}
	got := make([]byte, 6)
	if _, err := io.ReadFull(to, got); err != nil || string(got) != "first|" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := io.ReadFull(s.src, got); err != nil || string(got) != "second" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestSpliceTellsSidesApart: failures of the source are those of filling, failures of the sink those of flushing.
func TestSpliceTellsSidesApart(t *testing.T) {
	s, from, to := joint(t)
	s.src.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := s.Fill(1); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, want a deadline", err)
	}
	s.src.SetReadDeadline(time.Now().Add(10 * time.Second))
	from.Write([]byte("x"))
	if _, err := s.Fill(1); err != nil {
		t.Fatal(err)
	}
	to.SetLinger(0)
	to.Close()
	if _, err := s.dst.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) { // it has come
		t.Fatal(err)
	}
	if err := s.Flush(); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("%v, want a broken pipe", err)
	}
	s.Release()

	s, from, _ = joint(t)
	defer s.Release()
	if s.held != 0 {
		t.Error("a pipe with something in it was used again")
	}
	from.SetLinger(0)
	from.Close()
	if _, err := s.Fill(1); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v, want a reset", err)
	}
}

// TestPipesAreFew: there is a bound, they are used again, and closed when nobody wants them.
func TestPipesAreFew(t *testing.T) {
	s, _, _ := joint(t)
	var all []*Splice
	for range maxSplices - 1 {
		one := NewSplice(s.dst, s.src)
		if one == nil {
			t.Fatal("too few")
		}
		all = append(all, one)
	}
	if NewSplice(s.dst, s.src) != nil {
		t.Fatal("too many")
	}
	for _, one := range append(all, s) {
		one.Release()
	}
	if again := takeSplice(); again != s {
		t.Error("the last pipe was not used again")
	} else {
		again.Release()
	}
	closeIdle()
	if len(splices.free) != 0 || splices.used != 0 {
		t.Errorf("%d free, %d used", len(splices.free), splices.used)
	}
	var stat syscall.Stat_t
	if err := syscall.Fstat(s.in, &stat); err == nil && stat.Mode&syscall.S_IFMT == syscall.S_IFIFO {
		t.Error("a pipe is left")
	}
}

func TestOnlyPlainSocketsAreSpliced(t *testing.T) {
	s, _, _ := joint(t)
	defer s.Release()
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	if NewSplice(here, s.src) != nil || NewSplice(s.dst, here) != nil {
		t.Error("something else was")
	}
}
