package proxy_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// tunnel is what is left of a request that switched protocols: octets both ways, each way ending on its own.
type tunnel interface {
	io.ReadWriter
	CloseWrite() error
}

// switched is a tunnel with what the request or the response said.
type switched struct {
	tunnel
	header http.Header // of the request at a server, of the response at a client
}

// stream2 is one end of a connection of HTTP/2 with one stream, by extended CONNECT (RFC 8441), on x/net's framer: net/http refuses
// that at both ends.
type stream2 struct {
	conn   net.Conn
	framer *http2.Framer
	heads  func(id uint32, header http.Header) error // gets the other end's; the lock is held

	mu     sync.Mutex // guards what follows, and writing
	cond   sync.Cond
	id     uint32
	in     bytes.Buffer
	begun  bool // the other end's SETTINGS are here
	may    bool // and allow extended CONNECT
	ended  bool
	broken error
	window int64 // of the connection, for what we send
	peer   int64 // of the stream
}

func newStream2(conn net.Conn) *stream2 {
	s := &stream2{conn: conn, framer: http2.NewFramer(conn, bufio.NewReader(conn)), window: 65535, peer: 65535}
	s.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	s.cond.L = &s.mu
	return s
}

// connectClient opens a tunnel.
func connectClient(p *pod, to netip.AddrPort, protocol string, header http.Header) (switched, error) {
	conn, err := p.tryDial(to)
	if err != nil {
		return switched{}, err
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	s := newStream2(conn)
	answers := make(chan http.Header, 1)
	s.heads = func(_ uint32, header http.Header) error {
		answers <- header
		return nil
	}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return switched{}, err
	}
	if err := s.framer.WriteSettings(); err != nil {
		return switched{}, err
	}
	go func() { _ = s.read() }()
	fields := []string{":method", "CONNECT", ":protocol", protocol, ":scheme", "http", ":authority", "cart.shop", ":path", "/chat?x=1"}
	for name, values := range header {
		fields = append(fields, strings.ToLower(name), values[0])
	}
	if err := s.ask(fields); err != nil {
		return switched{}, err
	}
	answer := receive(answers)
	if answer.Get(":status") != "200" {
		body, _ := io.ReadAll(s)
		return switched{}, fmt.Errorf("%v: %s", answer, body)
	}
	return switched{s, answer}, nil
}

// ask sends the request as soon as the other end has allowed it.
func (s *stream2) ask(fields []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.begun && s.broken == nil {
		s.cond.Wait()
	}
	if !s.may {
		return errors.Join(errors.New("no extended CONNECT"), s.broken)
	}
	s.id = 1
	return s.writeHead(fields)
}

// connectServer is an application that takes extended CONNECT, one stream of each connection.
func connectServer(t *testing.T, answer http.Header, serve func(switched)) netip.AddrPort {
	return tcpApp(t, func(conn net.Conn) {
		defer conn.Close()
		if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
			return // nobody asked for anything
		}
		s := newStream2(conn)
		fields := []string{":status", "200"}
		for name, values := range answer {
			fields = append(fields, strings.ToLower(name), values[0])
		}
		s.heads = func(id uint32, header http.Header) error {
			s.id = id
			go serve(switched{s, header})
			return s.writeHead(fields)
		}
		if err := s.framer.WriteSettings(http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 1}); err != nil {
			return
		}
		_ = s.read()
	})
}

func (s *stream2) writeHead(fields []string) error {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		_ = encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return s.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: s.id, BlockFragment: block.Bytes(), EndHeaders: true})
}

// read takes frames until the connection ends.
func (s *stream2) read() error {
	for {
		f, err := s.framer.ReadFrame()
		s.mu.Lock()
		if err == nil {
			err = s.frame(f)
		}
		if err != nil {
			s.broken = err
		}
		s.cond.Broadcast()
		s.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

func (s *stream2) frame(f http2.Frame) error {
	switch f := f.(type) {
	case *http2.SettingsFrame:
		return s.settings(f)
	case *http2.PingFrame:
		if !f.IsAck() {
			return s.framer.WritePing(true, f.Data)
		}
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			s.window += int64(f.Increment)
		} else {
			s.peer += int64(f.Increment)
		}
	case *http2.DataFrame:
		s.in.Write(f.Data())
		s.ended = s.ended || f.StreamEnded()
		if n := uint32(len(f.Data())); n > 0 {
			return errors.Join(s.framer.WriteWindowUpdate(0, n), s.framer.WriteWindowUpdate(f.StreamID, n))
		}
	case *http2.RSTStreamFrame:
		return fmt.Errorf("reset: %v", f.ErrCode)
	case *http2.MetaHeadersFrame:
		header := http.Header{}
		for _, field := range f.Fields {
			name := http.CanonicalHeaderKey(field.Name)
			header[name] = append(header[name], field.Value)
		}
		s.ended = f.StreamEnded()
		return s.heads(f.StreamID, header)
	}
	return nil
}

func (s *stream2) settings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	s.begun = true
	if v, ok := f.Value(http2.SettingInitialWindowSize); ok {
		s.peer = int64(v)
	}
	if v, ok := f.Value(http2.SettingEnableConnectProtocol); ok {
		s.may = v == 1
	}
	return s.framer.WriteSettingsAck()
}

func (s *stream2) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.in.Len() == 0 && !s.ended && s.broken == nil {
		s.cond.Wait()
	}
	if s.in.Len() == 0 && !s.ended {
		return 0, s.broken
	}
	return s.in.Read(p)
}

func (s *stream2) Write(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(p) > 0 {
		for min(s.window, s.peer) <= 0 && s.broken == nil {
			s.cond.Wait()
		}
		if s.broken != nil {
			return n, s.broken
		}
		piece := p[:min(int64(len(p)), s.window, s.peer, 16<<10)]
		if err := s.framer.WriteData(s.id, false, piece); err != nil {
			return n, err
		}
		s.window -= int64(len(piece))
		s.peer -= int64(len(piece))
		n += len(piece)
		p = p[len(piece):]
	}
	return n, nil
}

func (s *stream2) CloseWrite() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.framer.WriteData(s.id, true, nil)
}
