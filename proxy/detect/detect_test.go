package detect_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leno-mesh/leno/proxy/detect"
)

// hello is what crypto/tls sends first.
func hello(config *tls.Config) []byte {
	client, server := net.Pipe()
	go func() { _ = tls.Client(client, config).Handshake() }()
	first := make([]byte, 1<<15)
	n, _ := server.Read(first)
	_ = server.Close()
	return first[:n]
}

// split puts a ClientHello into two records.
func split(record []byte) []byte {
	body := record[5:]
	cut := len(body) / 3
	out := []byte{22, 3, 1, byte(cut >> 8), byte(cut)}
	out = append(out, body[:cut]...)
	out = append(out, 22, 3, 1, byte((len(body)-cut)>>8), byte(len(body)-cut))
	return append(out, body[cut:]...)
}

// twice puts another host name into the server_name extension of a ClientHello that fits one record.
func twice(record []byte, name string) []byte {
	at := bytes.Index(record, []byte(name))
	out := append([]byte{}, record[:at+len(name)]...)
	out = append(out, 0, 0, 1, 'x')
	out = append(out, record[at+len(name):]...)
	const added = 4
	sessionAt := 5 + 4 + 2 + 32
	suitesAt := sessionAt + 1 + int(out[sessionAt])
	extensionsAt := suitesAt + 2 + int(out[suitesAt])<<8 + int(out[suitesAt+1]) + 2 // one method of compression
	for _, length := range []int{3, 7, extensionsAt, at - 7, at - 5} {              // of two bytes each, all of what holds the name
		n := int(out[length])<<8 + int(out[length+1]) + added
		out[length], out[length+1] = byte(n>>8), byte(n)
	}
	return out
}

func TestSniff(t *testing.T) {
	meshHello := hello(&tls.Config{NextProtos: []string{"leno-http/1.1", "leno-tcp"}, InsecureSkipVerify: true})
	appHello := hello(&tls.Config{ServerName: "db.example.org", NextProtos: []string{"h2"}})
	long := "GET /" + strings.Repeat("a", 20<<10) + " HTTP/1.1\r\n\r\n"
	for _, tc := range []struct {
		name  string
		bytes string
		want  detect.Verdict
	}{
		{"request", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", detect.Verdict{Kind: detect.HTTP1}},
		{"bare LF, for the codec to refuse", "GET / HTTP/1.1\nHost: a\n\n", detect.Verdict{Kind: detect.HTTP1}},
		{"HTTP/1.0", "POST /x HTTP/1.0\r\n\r\n", detect.Verdict{Kind: detect.HTTP1}},
		{"unusual method", "M-SEARCH * HTTP/1.1\r\n\r\n", detect.Verdict{Kind: detect.HTTP1}},
		{"request line longer than what is looked at", long, detect.Verdict{Kind: detect.HTTP1}},
		{"half a request line", "GET /inde", detect.Verdict{Kind: detect.HTTP1}},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00", detect.Verdict{Kind: detect.HTTP2}},
		{"mesh TLS", string(meshHello), detect.Verdict{Kind: detect.TLS, ALPN: []string{"leno-http/1.1", "leno-tcp"}, Whole: true}},
		{"application TLS", string(appHello), detect.Verdict{Kind: detect.TLS, SNI: "db.example.org", ALPN: []string{"h2"}, Whole: true}},
		{"hello in two records", string(split(appHello)), detect.Verdict{Kind: detect.TLS, SNI: "db.example.org", ALPN: []string{"h2"}, Whole: true}},
		{"hello with two names", string(twice(appHello, "db.example.org")), detect.Verdict{Kind: detect.Opaque}},
		{"half a hello", string(appHello[:100]), detect.Verdict{Kind: detect.TLS}},
		{"redis", "*1\r\n$4\r\nPING\r\n", detect.Verdict{Kind: detect.Opaque}},
		{"redis inline", "GET key\r\n", detect.Verdict{Kind: detect.Opaque}},
		{"nats", "CONNECT {\"verbose\":false}\r\n", detect.Verdict{Kind: detect.Opaque}},
		{"postgres", "\x00\x00\x00\x08\x04\xd2\x16\x2f", detect.Verdict{Kind: detect.Opaque}},
		{"TLS record that is no handshake", "\x17\x03\x03\x00\x02ab", detect.Verdict{Kind: detect.Opaque}},
		{"handshake that is no hello", "\x16\x03\x03\x00\x04\x02\x00\x00\x00", detect.Verdict{Kind: detect.Opaque}},
		{"broken hello", "\x16\x03\x01\x00\x07\x01\x00\x00\x03abc", detect.Verdict{Kind: detect.Opaque}},
		{"one line without end", "EHLO", detect.Verdict{Kind: detect.Opaque}},
		{"nothing", "", detect.Verdict{Kind: detect.Silent}},
	} {
		for _, size := range []int{len(tc.bytes), 1, 700} { // however it is cut into packets
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				go func() {
					for piece := range slices.Chunk([]byte(tc.bytes), max(size, 1)) {
						_, _ = client.Write(piece)
					}
				}()
				start := time.Now()
				conn, got, err := detect.Sniff(server, detect.Wait)
				if err != nil || got.Kind != tc.want.Kind || got.SNI != tc.want.SNI || got.Whole != tc.want.Whole || !slices.Equal(got.ALPN, tc.want.ALPN) {
					t.Errorf("%s by %d: %+v, %v; want %+v", tc.name, size, got, err, tc.want)
				}
				if waited := time.Since(start); got.Kind != detect.TLS && waited > detect.Wait {
					t.Errorf("%s by %d: waited %v", tc.name, size, waited)
				}
				again := make([]byte, len(tc.bytes))
				if _, err := io.ReadFull(conn, again); err != nil || !bytes.Equal(again, []byte(tc.bytes)) {
					t.Errorf("%s by %d: the bytes do not come again: %v", tc.name, size, err)
				}
				_, _ = client.Close(), server.Close()
			})
		}
	}
}

// TestOneByteBuysNoPatience: who may be silent for an hour must go on once it has begun.
func TestOneByteBuysNoPatience(t *testing.T) {
	for begun, want := range map[string]detect.Kind{"G": detect.Opaque, "GET /": detect.HTTP1, "PRI * HTT": detect.HTTP2} {
		synctest.Test(t, func(t *testing.T) {
			client, server := net.Pipe()
			go func() {
				time.Sleep(time.Minute)
				_, _ = client.Write([]byte(begun))
			}()
			start := time.Now()
			_, got, err := detect.Sniff(server, time.Hour)
			if waited := time.Since(start) - time.Minute; got.Kind != want || err != nil || waited > 5*time.Second {
				t.Errorf("%q: %v, %v after %v; want %v after 5 s", begun, got.Kind, err, waited, want)
			}
			_, _ = client.Close(), server.Close()
		})
	}
}

func TestSniffAgainAfterSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		conn, verdict, err := detect.Sniff(server, detect.Wait)
		if verdict.Kind != detect.Silent || err != nil {
			t.Fatalf("%v, %v", verdict, err)
		}
		go func() {
			time.Sleep(time.Minute)
			_, _ = client.Write([]byte("GET / HTTP/1.1\r\n"))
		}()
		if verdict, err = conn.Sniff(-1); verdict.Kind != detect.HTTP1 || err != nil {
			t.Errorf("%v, %v", verdict, err)
		}
		_, _ = client.Close(), server.Close()
	})
}

func TestSniffClosed(t *testing.T) {
	client, server := net.Pipe()
	_ = client.Close()
	conn, verdict, err := detect.Sniff(server, detect.Wait)
	if verdict.Kind != detect.Closed || err != nil {
		t.Errorf("%v, %v", verdict, err)
	}
	if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("then read: %d, %v", n, err)
	}
}

func TestLearnt(t *testing.T) {
	var l detect.Learnt
	mysql := netip.MustParseAddrPort("10.96.0.7:3306")
	for i, known := range []bool{false, false, true, true} {
		if l.ServerFirst(mysql) != known {
			t.Errorf("after %d greetings: %v", i, !known)
		}
		l.Note(mysql, true)
	}
	l.Note(mysql, false)
	if l.ServerFirst(mysql) {
		t.Error("one client that spoke first must unlearn it")
	}
	for i := range 10_000 {
		l.Note(netip.AddrPortFrom(mysql.Addr(), uint16(i)), true)
	}
	if got := l.Len(); got > 4096 {
		t.Errorf("remembers %d", got)
	}
}

// replay is a connection that says rest and ends.
type replay struct {
	net.Conn
	rest  []byte
	piece int // at most so much at a time; 0: any amount
}

func (r *replay) Read(b []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	if r.piece > 0 {
		b = b[:min(len(b), r.piece)]
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
func (*replay) SetReadDeadline(time.Time) error { return nil }

func TestFirst(t *testing.T) {
	for _, tc := range []struct {
		name        string
		client      string // says this after a minute
		server      string // says this after two minutes
		serverFirst time.Duration
		want        detect.Kind
		serverSpoke bool
	}{
		{"server greets", "", "220 hello", time.Second, detect.Silent, true},
		{"late request", "GET / HTTP/1.1\r\n", "", 0, detect.HTTP1, false},
		{"late opaque client", "\x00\x01", "", 0, detect.Opaque, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			clientFar, client := net.Pipe()
			serverFar, server := net.Pipe()
			if tc.client != "" {
				go func() { time.Sleep(time.Minute); _, _ = clientFar.Write([]byte(tc.client)) }()
			}
			if tc.server != "" {
				go func() { time.Sleep(tc.serverFirst); _, _ = serverFar.Write([]byte(tc.server)) }()
			}
			c, s := detect.Wrap(client), detect.Wrap(server)
			verdict, spoke, err := detect.First(c, s)
			if verdict.Kind != tc.want || spoke != tc.serverSpoke || err != nil {
				t.Errorf("%s: %v, server spoke %v, %v", tc.name, verdict.Kind, spoke, err)
			}
			if got := string(s.Take()); got != tc.server {
				t.Errorf("%s: server's bytes %q", tc.name, got)
			}
			if got := string(c.Take()); got != tc.client {
				t.Errorf("%s: client's bytes %q", tc.name, got)
			}
			for _, end := range []net.Conn{clientFar, client, serverFar, server} {
				_ = end.Close()
			}
		})
	}
}
