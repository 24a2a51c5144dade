package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/leno-mesh/leno/test/bench/load"
)

// prefix is what comes before a gRPC message: a flag and its length.
const prefix = 5

// maxFrame is the largest frame that a peer must take (RFC 9113, section 4.2).
const maxFrame = 16 << 10

// h2conn is one connection with prior knowledge of HTTP/2. One goroutine reads, answers into a buffer, and sends that
// when nothing more is to be read.
type h2conn struct {
	conn    net.Conn
	in      *bufio.Reader
	framer  *http2.Framer
	out     bytes.Buffer
	encoder *hpack.Encoder
	block   bytes.Buffer
	decoder *hpack.Decoder
	path    string // of the head that is being decoded

	window  int64 // of the connection, towards the peer
	initial int64 // of new streams
	owed    int   // received since our window was opened
	streams map[uint32]*h2stream
	blocked []*h2stream // with data that no window lets through, in order
}

type h2stream struct {
	id      uint32
	window  int64
	size    int // of one answer
	grpc    bool
	stream  bool // an answer for each message
	got     int  // received, not answered yet
	began   bool // the head was sent
	pending int  // bytes of data to send
	last    bool // no data comes after pending
	waiting bool // in blocked
}

func http2Backend(conn net.Conn) {
	c := &h2conn{conn: conn, in: bufio.NewReaderSize(conn, 64<<10), window: 65535, initial: 65535, streams: map[uint32]*h2stream{}}
	c.framer = http2.NewFramer(&c.out, c.in)
	c.framer.SetReuseFrames()
	c.encoder = hpack.NewEncoder(&c.block)
	c.decoder = hpack.NewDecoder(4096, func(f hpack.HeaderField) {
		if f.Name == ":path" {
			c.path = f.Value
		}
	})
	if err := c.serve(); !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "reset by peer") {
		fmt.Println("http2:", err)
	}
}

func (c *h2conn) serve() error {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c.in, preface); err != nil {
		return err
	}
	if string(preface) != http2.ClientPreface {
		return fmt.Errorf("preface %q", preface)
	}
	_ = c.framer.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 256}) // to a buffer, here and below
	_ = c.framer.WriteWindowUpdate(0, 16<<20)
	for {
		if c.in.Buffered() == 0 && c.out.Len() > 0 {
			if _, err := c.conn.Write(c.out.Bytes()); err != nil {
				return err
			}
			c.out.Reset()
		}
		frame, err := c.framer.ReadFrame()
		if err != nil {
			return err
		}
		if err := c.take(frame); err != nil {
			return err
		}
	}
}

func (c *h2conn) take(frame http2.Frame) error {
	switch f := frame.(type) {
	case *http2.HeadersFrame:
		return c.headers(f)
	case *http2.DataFrame:
		c.data(f)
	case *http2.SettingsFrame:
		if f.IsAck() {
			return nil
		}
		if v, ok := f.Value(http2.SettingInitialWindowSize); ok {
			for _, s := range c.streams {
				s.window += int64(v) - c.initial
			}
			c.initial = int64(v)
		}
		if v, ok := f.Value(http2.SettingHeaderTableSize); ok {
			c.encoder.SetMaxDynamicTableSizeLimit(v)
		}
		_ = c.framer.WriteSettingsAck()
		c.resume()
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			c.window += int64(f.Increment)
		} else if s := c.streams[f.StreamID]; s != nil {
			s.window += int64(f.Increment)
		}
		c.resume()
	case *http2.PingFrame:
		if !f.IsAck() {
			_ = c.framer.WritePing(true, f.Data)
		}
	case *http2.RSTStreamFrame:
		delete(c.streams, f.StreamID)
	}
	return nil
}

func (c *h2conn) headers(f *http2.HeadersFrame) error {
	if !f.HeadersEnded() {
		return errors.New("a request's head takes more than one frame")
	}
	if _, err := c.decoder.Write(f.HeaderBlockFragment()); err != nil {
		return err
	}
	if err := c.decoder.Close(); err != nil {
		return err
	}
	s := c.streams[f.StreamID]
	if s == nil {
		s = &h2stream{id: f.StreamID, window: c.initial}
		switch c.path {
		case load.UnaryMethod:
			s.grpc, s.size = true, prefix+load.Answered
		case load.StreamMethod:
			s.grpc, s.stream, s.size = true, true, prefix+load.Answered
		default:
			size, err := strconv.Atoi(strings.TrimPrefix(c.path, "/"))
			if err != nil {
				return fmt.Errorf("path %q", c.path)
			}
			s.size = size
		}
		c.streams[s.id] = s
	}
	if f.StreamEnded() {
		c.ended(s)
	}
	return nil
}

func (c *h2conn) data(f *http2.DataFrame) {
	if c.owed += int(f.Length); c.owed >= 1<<20 {
		_ = c.framer.WriteWindowUpdate(0, uint32(c.owed))
		c.owed = 0
	}
	s := c.streams[f.StreamID]
	if s == nil {
		return
	}
	s.got += len(f.Data())
	if s.stream {
		for ; s.got >= prefix+load.Asked; s.got -= prefix + load.Asked {
			s.pending += s.size
			// Streams that go on get their window back message by message; what is unary ends before it is used up.
			_ = c.framer.WriteWindowUpdate(s.id, prefix+load.Asked)
		}
		c.send(s)
	}
	if f.StreamEnded() {
		c.ended(s)
	}
}

// ended answers a request that is complete.
func (c *h2conn) ended(s *h2stream) {
	s.last = true
	if !s.stream {
		s.pending = s.size
	}
	c.send(s)
}

var (
	zeros  = make([]byte, maxFrame)
	answer = func() []byte {
		m := make([]byte, prefix+load.Answered)
		binary.BigEndian.PutUint32(m[1:], load.Answered)
		return m
	}()
)

// send writes as much of an answer as the windows let through.
func (c *h2conn) send(s *h2stream) {
	if !s.began {
		s.began = true
		c.head(s)
	}
	for s.pending > 0 {
		open := min(c.window, s.window)
		n := min(int64(s.pending), maxFrame, open)
		if s.grpc {
			n = int64(s.size) // whole messages, so that each frame begins with a prefix
		}
		if n <= 0 || n > open {
			if !s.waiting {
				s.waiting = true
				c.blocked = append(c.blocked, s)
			}
			return
		}
		body := answer
		if !s.grpc {
			body = zeros[:n]
		}
		c.window -= n
		s.window -= n
		s.pending -= int(n)
		_ = c.framer.WriteData(s.id, s.last && s.pending == 0 && !s.grpc, body)
	}
	if s.last {
		if s.grpc {
			c.fields(s.id, true, hpack.HeaderField{Name: "grpc-status", Value: "0"}, hpack.HeaderField{Name: "grpc-message"})
		}
		delete(c.streams, s.id)
	}
}

func (c *h2conn) head(s *h2stream) {
	if s.grpc {
		c.fields(s.id, false, hpack.HeaderField{Name: ":status", Value: "200"}, hpack.HeaderField{Name: "content-type", Value: "application/grpc"})
		return
	}
	c.fields(s.id, false, hpack.HeaderField{Name: ":status", Value: "200"}, hpack.HeaderField{Name: "server", Value: "backend"},
		hpack.HeaderField{Name: "date", Value: "Mon, 02 Jan 2006 15:04:05 GMT"},
		hpack.HeaderField{Name: "content-type", Value: "application/octet-stream"}, hpack.HeaderField{Name: "content-length", Value: strconv.Itoa(s.size)})
}

func (c *h2conn) fields(id uint32, end bool, fields ...hpack.HeaderField) {
	c.block.Reset()
	for _, f := range fields {
		_ = c.encoder.WriteField(f)
	}
	_ = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.block.Bytes(), EndHeaders: true, EndStream: end})
}

// resume goes on with streams that had no window.
func (c *h2conn) resume() {
	waiting := c.blocked
	c.blocked = nil
	for _, s := range waiting {
		s.waiting = false
		if c.streams[s.id] == s {
			c.send(s)
		}
	}
}
