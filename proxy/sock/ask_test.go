//go:build linux

package sock_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/leno-mesh/leno/proxy/sock"
)

func TestAsk(t *testing.T) {
	wrapped, peer := pair(t)
	c := wrapped.(*sock.Conn)
	got := make([]byte, 16)
	for _, size := range []int{5, 8 << 20} { // the larger one has to wait for room
		question := bytes.Repeat([]byte("q"), size)
		heard := make(chan error, 1)
		go func() {
			_, err := io.CopyN(io.Discard, peer, int64(size))
			peer.Write([]byte("answer"))
			heard <- err
		}()
		if n, err := c.Ask(question, into(got)); err != nil || string(got[:n]) != "answer" {
			t.Errorf("%d bytes asked: %q, %v", size, got[:n], err)
		}
		if err := <-heard; err != nil {
			t.Error(err)
		}
	}
}

// TestAskAfterDeadline: the question goes out although reading has no time left.
func TestAskAfterDeadline(t *testing.T) {
	wrapped, peer := pair(t)
	c := wrapped.(*sock.Conn)
	c.SetReadDeadline(time.Unix(1, 0))
	if _, err := c.Ask([]byte("question"), into(make([]byte, 1))); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, want a deadline", err)
	}
	got := make([]byte, 8)
	if _, err := io.ReadFull(peer, got); err != nil || string(got) != "question" {
		t.Errorf("the peer got %q, %v", got, err)
	}
}

// TestAskTheDying: what the peer said before it closed is read although it takes no question.
func TestAskTheDying(t *testing.T) {
	wrapped, peer := pair(t)
	c := wrapped.(*sock.Conn)
	peer.Write([]byte("bye"))
	peer.Close()
	if err := c.CloseWrite(); err != nil { // so that writing fails, whatever the kernel knows by now
		t.Fatal(err)
	}
	got := make([]byte, 8)
	if n, err := c.Ask([]byte("question"), into(got)); err != nil || string(got[:n]) != "bye" {
		t.Errorf("%q, %v", got[:n], err)
	}
	if _, err := c.Ask([]byte("question"), into(got)); !errors.Is(err, io.EOF) {
		t.Errorf("%v, want EOF", err)
	}
}

func TestReadNow(t *testing.T) {
	wrapped, peer := pair(t)
	c := wrapped.(*sock.Conn)
	got := make([]byte, 8)
	if n, err := c.ReadNow(got); n != 0 || err != nil {
		t.Errorf("nothing is there: %d, %v", n, err)
	}
	peer.Write([]byte("x"))
	if n, err := c.Read(got); n != 1 || err != nil { // it was told of, although it came after a look
		t.Errorf("%d, %v", n, err)
	}
	peer.Close()
	if _, err := c.Read(got); !errors.Is(err, io.EOF) {
		t.Errorf("%v, want EOF", err)
	}
	if _, err := c.ReadNow(got); !errors.Is(err, io.EOF) {
		t.Errorf("%v, want EOF", err)
	}
}

// speak sends an octet, before it returns or soon after.
func speak(peer io.Writer, early bool) {
	if early {
		peer.Write([]byte("x"))
	} else {
		go peer.Write([]byte("x"))
	}
}

// TestAwait: what is there is left where it is, also the end, and the deadline ends waiting.
func TestAwait(t *testing.T) {
	wrapped, peer := pair(t)
	c := wrapped.(*sock.Conn)
	c.SetReadDeadline(time.Now().Add(time.Millisecond))
	if err := c.Await(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, want a deadline", err)
	}
	c.SetReadDeadline(time.Now().Add(patience))
	got := make([]byte, 8)
	for _, early := range []bool{true, false} {
		speak(peer, early)
		if err := c.Await(); err != nil {
			t.Error(err)
		}
		if n, err := c.ReadNow(got); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	peer.Close()
	if err := c.Await(); err != nil {
		t.Error(err)
	}
	if _, err := c.ReadNow(got); !errors.Is(err, io.EOF) {
		t.Errorf("%v, want EOF", err)
	}
}

func into(b []byte) func() []byte { return func() []byte { return b } }

func TestReadLate(t *testing.T) {
	wrapped, peer := pair(t)
	c := wrapped.(*sock.Conn)
	c.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := c.ReadLate(func() []byte { t.Error("room was taken for nothing"); return make([]byte, 1) }); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, want a deadline", err)
	}
	c.SetReadDeadline(time.Now().Add(patience))
	got := make([]byte, 8)
	for _, early := range []bool{true, false} {
		speak(peer, early)
		if n, err := c.ReadLate(into(got)); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	peer.Close()
	if _, err := c.ReadLate(into(got)); !errors.Is(err, io.EOF) {
		t.Errorf("%v, want EOF", err)
	}
}

// TestReadEach: pieces come one by one, whenever they come, and those that fill their room are followed by what is left.
func TestReadEach(t *testing.T) {
	wrapped, peer := pair(t)
	c := wrapped.(*sock.Conn)
	got := make([]byte, 4)
	for _, sent := range []string{"early", "x", "abcd", "abcdefghi"} {
		if _, err := io.WriteString(peer, sent); err != nil {
			t.Fatal(err)
		}
		all := ""
		err := c.ReadEach(into(got), func(n int) bool {
			if all += string(got[:n]); len(all) == len(sent) {
				go io.WriteString(peer, "!")
			}
			return all != sent+"!"
		})
		if err != nil || all != sent+"!" {
			t.Errorf("read %q, %v", all, err)
		}
	}
	peer.Close()
	if err := c.ReadEach(into(got), func(int) bool { return true }); !errors.Is(err, io.EOF) {
		t.Errorf("%v, want EOF", err)
	}
}

// TestReadEachHasNoRoomBefore: who waits holds no room, and the deadline ends it.
func TestReadEachHasNoRoomBefore(t *testing.T) {
	wrapped, _ := pair(t)
	c := wrapped.(*sock.Conn)
	c.SetReadDeadline(time.Now().Add(time.Millisecond))
	room := func() []byte { t.Error("room was taken for nothing"); return make([]byte, 1) }
	if err := c.ReadEach(room, func(int) bool { return true }); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, want a deadline", err)
	}
}

// TestReadEachAndClose: Close waits for the piece in hand and ends the waiting.
func TestReadEachAndClose(t *testing.T) {
	wrapped, peer := pair(t)
	c := wrapped.(*sock.Conn)
	peer.Write([]byte("x"))
	err := c.ReadEach(into(make([]byte, 4)), func(int) bool {
		go c.Close()
		return true
	})
	if !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v, want closed", err)
	}
}
