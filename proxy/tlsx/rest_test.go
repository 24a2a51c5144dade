package tlsx_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/internal/identity/devca"
	"github.com/leno-mesh/leno/proxy/sock"
	"github.com/leno-mesh/leno/proxy/tlsx"
)

// patience bounds every wait; nothing that works gets near it.
const patience = 10 * time.Second

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

type source struct{ *identity.SVID }

func (s source) Identity() (*identity.SVID, error) { return s.SVID, nil }

// drip is a connection on which everything goes out octet by octet.
type drip struct{ net.Conn }

func (d drip) Write(b []byte) (int, error) {
	for i := range b {
		if _, err := d.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

// secured is a served connection, and the client's end of it.
func secured(t *testing.T) (*tlsx.Conn, *tls.Conn) {
	t.Helper()
	id := must(identity.New("cluster.local", "shop", "cart"))
	self := source{must(must(devca.New(time.Hour)).SVID(id, time.Hour))}
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	defer func() { _ = l.Close() }()
	dialled := must(net.Dial("tcp", l.Addr().String()))
	accepted := must(l.Accept())
	t.Cleanup(func() { _, _ = dialled.Close(), accepted.Close() })
	_ = dialled.SetDeadline(time.Now().Add(patience))
	client := tls.Client(drip{dialled}, identity.ClientTLS(self, id, tlsx.HTTP1))
	shaken := make(chan error, 1)
	go func() { shaken <- client.Handshake() }()
	conn, _, err := tlsx.NewServer(self).Accept(t.Context(), sock.Wrap(accepted))
	if err := errors.Join(err, <-shaken); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn, client
}

// TestReadResting: nothing is lost, however records arrive and wherever waiting for them is given up.
func TestReadResting(t *testing.T) {
	conn, client := secured(t)
	_ = conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := conn.ReadResting(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, want a deadline", err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	sent := strings.Repeat("one record, ", 100)
	written := make(chan error, 1)
	go func() {
		var err error
		for _, piece := range []string{sent[:1], sent[1:7], sent[7:]} {
			_, e := io.WriteString(client, piece)
			err = errors.Join(err, e)
		}
		written <- errors.Join(err, client.Close())
	}()
	var got strings.Builder
	b := make([]byte, 64)
	for {
		n, err := conn.ReadResting(b)
		got.Write(b[:n])
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if got.String() != sent {
		t.Errorf("got %d octets of %d", got.Len(), len(sent))
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}

// TestReadRestingOfAhead: what came in one piece with what was read before is not waited for.
func TestReadRestingOfAhead(t *testing.T) {
	conn, client := secured(t)
	if _, err := io.WriteString(client, "ab"); err != nil {
		t.Fatal(err)
	}
	one := make([]byte, 1)
	for _, want := range []string{"a", "b"} {
		if n, err := conn.ReadResting(one); n != 1 || err != nil || string(one) != want {
			t.Errorf("%q, %v, want %q", one, err, want)
		}
	}
}
