package proxy_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

// socket is one end of a WebSocket. Answering PING and Close is its own business (RFC 6455 section 5.5).
type socket interface {
	WriteMessage(kind int, p []byte) error
	ReadMessage() (kind int, p []byte, err error)
	Close() error
}

// framed is WebSocket over the octets of a tunnel, for the ends that speak HTTP/2.
type framed struct {
	tunnel
	in     *bufio.Reader
	masks  bool // a client's frames are masked
	pong   func(text string)
	writes sync.Mutex
}

func newFramed(t tunnel, client bool, pong func(string)) *framed {
	return &framed{tunnel: t, in: bufio.NewReader(t), masks: client, pong: pong}
}

func (f *framed) WriteMessage(kind int, p []byte) error {
	head := []byte{0x80 | byte(kind), 0}
	switch {
	case len(p) < 126:
		head[1] = byte(len(p))
	case len(p) < 1<<16:
		head[1] = 126
		head = binary.BigEndian.AppendUint16(head, uint16(len(p)))
	default:
		head[1] = 127
		head = binary.BigEndian.AppendUint64(head, uint64(len(p)))
	}
	if f.masks {
		head[1] |= 0x80
		mask := []byte{1, 2, 3, 4}
		head, p = append(head, mask...), slices.Clone(p)
		for i := range p {
			p[i] ^= mask[i%4]
		}
	}
	f.writes.Lock()
	defer f.writes.Unlock()
	_, err := f.Write(append(head, p...))
	return err
}

// frame reads one. kind has the bit for the last frame of a message.
func (f *framed) frame() (kind int, p []byte, err error) {
	head := make([]byte, 2, 14)
	if _, err := io.ReadFull(f.in, head); err != nil {
		return 0, nil, err
	}
	size := uint64(head[1] & 0x7f)
	masked := head[1]&0x80 != 0
	if masked == f.masks {
		return 0, nil, fmt.Errorf("frame % x is masked: %v", head, masked)
	}
	extra := map[uint64]int{126: 2, 127: 8}[size]
	head = head[:2+extra]
	if _, err := io.ReadFull(f.in, head[2:]); err != nil {
		return 0, nil, err
	}
	switch extra {
	case 2:
		size = uint64(binary.BigEndian.Uint16(head[2:]))
	case 8:
		size = binary.BigEndian.Uint64(head[2:])
	}
	var mask [4]byte
	if masked {
		if _, err := io.ReadFull(f.in, mask[:]); err != nil {
			return 0, nil, err
		}
	}
	p = make([]byte, size)
	_, err = io.ReadFull(f.in, p)
	for i := range p {
		p[i] ^= mask[i%4]
	}
	return int(head[0]), p, err
}

func (f *framed) ReadMessage() (int, []byte, error) {
	var message []byte
	kind := 0
	for {
		head, p, err := f.frame()
		if err != nil {
			return 0, nil, err
		}
		switch what := head & 0x0f; what {
		case websocket.PingMessage:
			if err := f.WriteMessage(websocket.PongMessage, p); err != nil {
				return 0, nil, err
			}
			continue
		case websocket.PongMessage:
			f.pong(string(p))
			continue
		case websocket.CloseMessage:
			_ = f.WriteMessage(websocket.CloseMessage, p)
			return 0, nil, &websocket.CloseError{Code: int(binary.BigEndian.Uint16(p)), Text: string(p[2:])}
		case websocket.TextMessage, websocket.BinaryMessage:
			kind = what
		}
		if message = append(message, p...); head&0x80 != 0 {
			return kind, message, nil
		}
	}
}

func (f *framed) Close() error { return f.CloseWrite() }

// opened is a WebSocket with what was said when it was opened.
type opened struct {
	socket
	header http.Header
}

// webSockets are the ways to speak WebSocket: what a client and a server of each version do.
var webSockets = map[string]struct {
	client func(p *pod, header http.Header, pong func(string)) (opened, error)
	server func(t *testing.T, serve func(opened)) netip.AddrPort
	// keys tells whether the version has Sec-WebSocket-Key and -Accept.
	keys bool
	code int
}{
	"HTTP/1.1": {
		client: func(p *pod, header http.Header, pong func(string)) (opened, error) {
			dialer := websocket.Dialer{NetDial: func(string, string) (net.Conn, error) { return p.tryDial(cartService) }, Subprotocols: []string{"other", "chat"}}
			conn, response, err := dialer.DialContext(p.t.Context(), "ws://cart.shop/chat?x=1", header)
			if err != nil {
				return opened{}, err
			}
			p.t.Cleanup(func() { _ = conn.Close() })
			conn.SetPongHandler(func(text string) error { pong(text); return nil })
			return opened{conn, response.Header}, nil
		},
		server: func(t *testing.T, serve func(opened)) netip.AddrPort {
			upgrader := websocket.Upgrader{Subprotocols: []string{"chat"}, CheckOrigin: func(*http.Request) bool { return true }}
			return app2(t, func(w http.ResponseWriter, r *http.Request) {
				conn, err := upgrader.Upgrade(w, r, http.Header{"X-Answered": {"yes"}})
				if err != nil {
					t.Error(err)
					return
				}
				serve(opened{conn, r.Header})
			})
		},
		keys: true, code: 101,
	},
	"HTTP/2": {
		client: func(p *pod, header http.Header, pong func(string)) (opened, error) {
			header = header.Clone()
			header.Set("Sec-Websocket-Version", "13")
			header.Set("Sec-Websocket-Protocol", "other, chat")
			s, err := connectClient(p, cartService, "websocket", header)
			if err != nil {
				return opened{}, err
			}
			return opened{newFramed(s, true, pong), s.header}, nil
		},
		server: func(t *testing.T, serve func(opened)) netip.AddrPort {
			return connectServer(t, http.Header{"X-Answered": {"yes"}, "Sec-Websocket-Protocol": {"chat"}}, func(s switched) { serve(opened{newFramed(s, false, nil), s.header}) })
		},
		code: 200,
	},
}

// TestWebSocket: from and to each version of HTTP, through two sidecars.
func TestWebSocket(t *testing.T) {
	for from, client := range webSockets {
		for to, server := range webSockets {
			t.Run(from+" to "+to, func(t *testing.T) {
				closed, headers := make(chan error, 1), make(chan http.Header, 1)
				app := server.server(t, func(s opened) {
					headers <- s.header
					closed <- chat(s)
					_ = s.Close()
				})
				m := newMesh(t)
				cart := m.pod("cart", app, nil)
				web := m.pod("web", netip.AddrPort{}, nil)
				web.knows(cartService, config.Detect, cart.endpoint())
				web.control.change(func(c *config.Config) {
					c.Clusters[cartService.String()].HTTP = map[string]config.HTTPVersion{"HTTP/1.1": config.HTTP1Only, "HTTP/2": config.HTTP2Only}[to]
				})
				pongs := make(chan string, 1)
				s, err := client.client(web, http.Header{"Origin": {"http://shop.example"}}, func(text string) { pongs <- text })
				if err != nil {
					t.Fatal(err)
				}
				if h := s.header; h.Get("X-Answered") != "yes" || h.Get("Sec-Websocket-Protocol") != "chat" || (h.Get("Sec-Websocket-Accept") != "") != client.keys {
					t.Errorf("the client sees %v", h)
				}
				if h := <-headers; h.Get("Origin") != "http://shop.example" || h.Get("Sec-Websocket-Version") != "13" || (h.Get("Sec-Websocket-Key") != "") != server.keys {
					t.Errorf("the server sees %v", h)
				}
				converse(t, s, pongs)
				if err := receive(closed); !websocket.IsCloseError(err, 4001) {
					t.Errorf("the server ends with %v", err)
				}
				for p, code := range map[*pod]int{web: client.code, cart: server.code} {
					r := wait(t, &p.records, func() []telemetry.Request { return p.records.requests }, func(r telemetry.Request) bool { return r.Path == "/chat" })
					if r.Code != code || r.Method != "GET" || r.Flag != "" || r.BytesIn < messages*100 || r.BytesOut < messages*100 {
						t.Errorf("%s: %+v", p.name, r)
					}
				}
			})
		}
	}
}

// messages is how many go each way.
const messages = 1000

// chat is the server's part: it sends its messages while it gets the client's, then whatever the client sends once more.
func chat(s socket) error {
	sent := make(chan error, 1)
	go func() { sent <- say(s, "server") }()
	if err := hear(s, "client"); err != nil {
		return err
	}
	if err := <-sent; err != nil {
		return err
	}
	for {
		kind, p, err := s.ReadMessage()
		if err != nil {
			return err
		}
		if err := s.WriteMessage(kind, p); err != nil {
			return err
		}
	}
}

func say(s socket, who string) error {
	for i := range messages {
		if err := s.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, "%s %d %0*d", who, i, 100+i, i)); err != nil {
			return fmt.Errorf("%s says %d: %w", who, i, err)
		}
	}
	return nil
}

func hear(s socket, who string) error {
	for i := range messages {
		kind, p, err := s.ReadMessage()
		if want := fmt.Sprintf("%s %d %0*d", who, i, 100+i, i); err != nil || kind != websocket.TextMessage || string(p) != want {
			return fmt.Errorf("of %s, message %d is %q, kind %d, %w", who, i, p, kind, err)
		}
	}
	return nil
}

// converse is the client's part.
func converse(t *testing.T, s socket, pongs chan string) {
	t.Helper()
	sent := make(chan error, 1)
	go func() { sent <- say(s, "client") }()
	if err := errors.Join(hear(s, "server"), receive(sent)); err != nil {
		t.Fatal(err)
	}
	big := bytes.Repeat([]byte("big"), 1<<20)
	for _, message := range [][]byte{nil, {0}, big} {
		if err := s.WriteMessage(websocket.PingMessage, []byte("are you there?")); err != nil {
			t.Fatal(err)
		}
		if err := s.WriteMessage(websocket.BinaryMessage, message); err != nil {
			t.Fatal(err)
		}
		if kind, p, err := s.ReadMessage(); err != nil || kind != websocket.BinaryMessage || !bytes.Equal(p, message) {
			t.Fatalf("%d bytes come back as %d, kind %d, %v", len(message), len(p), kind, err)
		}
		if text := receive(pongs); text != "are you there?" {
			t.Errorf("PONG %q", text)
		}
	}
	if err := s.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(4001, "bye")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.ReadMessage(); !websocket.IsCloseError(err, 4001) {
		t.Errorf("the client ends with %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// receive waits for a value, but not for ever.
func receive[V any](from chan V) V {
	select {
	case v := <-from:
		return v
	case <-time.After(15 * time.Second):
		panic("nothing came")
	}
}
