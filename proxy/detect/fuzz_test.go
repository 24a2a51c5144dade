package detect_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/leno-mesh/leno/proxy/detect"
)

// FuzzSniff: no byte is lost, the verdict does not depend on how the bytes come, and a ClientHello says what crypto/tls
// reads in it.
func FuzzSniff(f *testing.F) {
	for _, first := range [][]byte{
		hello(&tls.Config{ServerName: "a", NextProtos: []string{"h2"}}), hello(&tls.Config{NextProtos: []string{"leno-h2", "leno-tcp"}, InsecureSkipVerify: true}),
		split(hello(&tls.Config{ServerName: "a.b"})), []byte("GET / HTTP/1.1\r\n\r\n"), []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), []byte("POST "), {22, 3, 1},
	} {
		f.Add(first, uint8(0))
		f.Add(first, uint8(7))
	}
	f.Fuzz(func(t *testing.T, first []byte, piece uint8) {
		conn, verdict, err := detect.Sniff(&replay{rest: first}, -1)
		if err != nil {
			t.Fatal(err)
		}
		again, err := io.ReadAll(conn)
		if err != nil || !bytes.Equal(again, first) {
			t.Errorf("%v: the bytes do not come again: %v", verdict, err)
		}
		_, inPieces, err := detect.Sniff(&replay{rest: first, piece: 1 + int(piece)}, -1)
		if err != nil || !reflect.DeepEqual(inPieces, verdict) {
			t.Errorf("%+v in one piece, %+v in pieces of %d: %v", verdict, inPieces, 1+int(piece), err)
		}
		if theirs := readByCryptoTLS(first); theirs != nil {
			if verdict.Kind != detect.TLS || verdict.SNI != theirs.ServerName || !reflect.DeepEqual(verdict.ALPN, theirs.SupportedProtos) {
				t.Errorf("%+v, crypto/tls reads SNI %q and ALPN %q", verdict, theirs.ServerName, theirs.SupportedProtos)
			}
		}
	})
}

// maxHello is the longest ClientHello that is looked at to its end.
const maxHello = 16 << 10

// readByCryptoTLS gives a ClientHello to a server of crypto/tls; nil where it finds none, and where the record's version is
// not one of TLS, which it does not mind.
func readByCryptoTLS(first []byte) (found *tls.ClientHelloInfo) {
	if len(first) > maxHello {
		return nil
	}
	for rest := first; len(rest) >= 5; rest = rest[min(len(rest), 5+int(rest[3])<<8+int(rest[4])):] {
		if rest[0] != 22 || rest[1] != 3 {
			if &rest[0] == &first[0] {
				return nil
			}
			break
		}
	}
	server := tls.Server(&deaf{replay{rest: first}}, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		found = h
		return nil, errors.New("enough")
	}})
	_ = server.Handshake() // it never succeeds
	return found
}

// deaf is a replay that takes what is written to it.
type deaf struct{ replay }

func (*deaf) Write(b []byte) (int, error)      { return len(b), nil }
func (*deaf) SetWriteDeadline(time.Time) error { return nil }
func (*deaf) SetDeadline(time.Time) error      { return nil }
func (*deaf) Close() error                     { return nil }
func (*deaf) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (*deaf) LocalAddr() net.Addr              { return &net.TCPAddr{} }
