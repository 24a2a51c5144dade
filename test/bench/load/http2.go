package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"sync"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Windows are as large as the protocol allows (RFC 9113, section 6.9.1), so that the client never is what holds up data.
const (
	window        = 1<<31 - 1
	defaultWindow = 65535
	refill        = 1 << 20 // bytes after which the window is opened again
)

// session is a client connection of HTTP/2 that many streams share. It does not count the peer's windows: all streams
// together send less at a time than the smallest default one.
type session struct {
	conn    net.Conn
	framer  *http2.Framer // writes to out
	headers *hpack.Encoder
	block   bytes.Buffer // of headers
	decoder *hpack.Decoder
	seen    *stream // whose headers are decoded

	mu      sync.Mutex // guards what follows, and framer, headers and block
	out     bytes.Buffer
	wake    chan struct{} // has an element when out has something
	streams map[uint32]*stream
	next    uint32
	err     error

	owed int // bytes read since the connection's window was opened
}

// stream is one exchange at a time, or one that goes on.
type stream struct {
	id     uint32
	got    int // bytes of data
	status string
	grpc   string // grpc-status
	ended  bool
	owed   int
	// until is how many bytes of data are waited for; 0: the end of the stream.
	until int
	ready chan error // one element per wait
}

func newSession(address string) (*session, error) {
	conn, err := dial(address)
	if err != nil {
		return nil, err
	}
	s := &session{conn: conn, streams: map[uint32]*stream{}, next: 1, wake: make(chan struct{}, 1)}
	s.framer = http2.NewFramer(&s.out, nil)
	s.headers = hpack.NewEncoder(&s.block)
	s.decoder = hpack.NewDecoder(4096, s.field)
	s.out.WriteString(http2.ClientPreface)
	_ = s.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window},
		http2.Setting{ID: http2.SettingEnablePush, Val: 0}) // writes to a buffer do not fail, here and below
	_ = s.framer.WriteWindowUpdate(0, window-defaultWindow)
	go s.write()
	go func() { s.fail(s.read()) }()
	s.flush()
	return s, nil
}

// flush wakes the writer.
func (s *session) flush() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// write sends what has gathered, until the session fails.
func (s *session) write() {
	var sending bytes.Buffer
	for range s.wake {
		s.mu.Lock()
		sending.Reset()
		_, _ = sending.Write(s.out.Bytes())
		s.out.Reset()
		ended := s.err != nil
		s.mu.Unlock()
		if ended {
			return
		}
		if _, err := s.conn.Write(sending.Bytes()); err != nil {
			s.fail(err)
			return
		}
	}
}

// fail ends all streams.
func (s *session) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	s.err = err
	_ = s.conn.Close()
	for _, one := range s.streams {
		one.ready <- err
	}
	s.flush()
}

// begin opens a stream for one, with a body if there is one; more says that more will follow.
func (s *session) begin(one *stream, fields []hpack.HeaderField, body []byte, more bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	one.id, one.got, one.owed, one.status, one.grpc, one.ended = s.next, 0, 0, "", "", false
	s.next += 2
	s.streams[one.id] = one
	s.block.Reset()
	for _, f := range fields {
		_ = s.headers.WriteField(f)
	}
	_ = s.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: one.id, BlockFragment: s.block.Bytes(), EndHeaders: true, EndStream: body == nil && !more})
	if body != nil {
		_ = s.framer.WriteData(one.id, !more, body)
	}
	s.flush()
	return nil
}

// send is one more message on an open stream.
func (s *session) send(one *stream, body []byte, until int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	one.until = until
	_ = s.framer.WriteData(one.id, false, body)
	s.flush()
	return nil
}

func (s *session) read() error {
	framer := http2.NewFramer(nil, bufio.NewReaderSize(s.conn, 64<<10))
	framer.SetReuseFrames()
	framer.SetMaxReadFrameSize(16 << 10)
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return fmt.Errorf("read frame: %w", err)
		}
		s.mu.Lock()
		err = s.take(frame)
		s.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// take handles one frame.
func (s *session) take(frame http2.Frame) error {
	switch f := frame.(type) {
	case *http2.DataFrame:
		return s.data(f)
	case *http2.HeadersFrame:
		one := s.streams[f.StreamID]
		if one == nil {
			one = &stream{} // decoded all the same: the table must stay in step
		}
		if !f.HeadersEnded() {
			return errors.New("an answer's head takes more than one frame")
		}
		s.seen = one
		if _, err := s.decoder.Write(f.HeaderBlockFragment()); err != nil {
			return fmt.Errorf("head of an answer: %w", err)
		}
		if err := s.decoder.Close(); err != nil {
			return fmt.Errorf("head of an answer: %w", err)
		}
		if f.StreamEnded() {
			s.end(one)
		}
	case *http2.SettingsFrame:
		if !f.IsAck() {
			if v, ok := f.Value(http2.SettingHeaderTableSize); ok {
				s.headers.SetMaxDynamicTableSizeLimit(v)
			}
			_ = s.framer.WriteSettingsAck()
			s.flush()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			_ = s.framer.WritePing(true, f.Data)
			s.flush()
		}
	case *http2.RSTStreamFrame:
		return fmt.Errorf("stream %d was reset: %v", f.StreamID, f.ErrCode)
	case *http2.GoAwayFrame:
		return fmt.Errorf("the peer goes away: %v %q", f.ErrCode, f.DebugData())
	}
	return nil
}

func (s *session) data(f *http2.DataFrame) error {
	one := s.streams[f.StreamID]
	if one == nil {
		return nil
	}
	n := int(f.Length)
	one.got += len(f.Data())
	if s.owed += n; s.owed >= refill {
		_ = s.framer.WriteWindowUpdate(0, uint32(s.owed))
		s.owed = 0
		s.flush()
	}
	if one.owed += n; one.owed >= refill && !f.StreamEnded() {
		_ = s.framer.WriteWindowUpdate(one.id, uint32(one.owed))
		one.owed = 0
		s.flush()
	}
	switch {
	case f.StreamEnded():
		s.end(one)
	case one.until > 0 && one.got >= one.until:
		one.until = 0
		one.ready <- nil
	}
	return nil
}

func (s *session) end(one *stream) {
	one.ended = true
	delete(s.streams, one.id)
	one.ready <- nil
}

// field takes what matters of a head.
func (s *session) field(f hpack.HeaderField) {
	switch f.Name {
	case ":status":
		s.seen.status = f.Value
	case "grpc-status":
		s.seen.grpc = f.Value
	}
}
