//go:build differential

package differential

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"sync"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	// frameSize is the largest payload of a frame that needs no leave (RFC 9113 section 4.2).
	frameSize = 16384
	// receiveWindow is what this end takes at once, in octets: more than any test sends.
	receiveWindow = 1 << 20
	// firstWindow is what a peer takes before it says otherwise (RFC 9113 section 6.9.2).
	firstWindow = 65535
)

// conn2 is one end of an HTTP/2 connection, written frame by frame, so that it can say what no library lets one say. One goroutine
// reads; any may write.
type conn2 struct {
	net.Conn
	framer *http2.Framer

	mu      sync.Mutex // guards writing and all that follows
	news    *sync.Cond // windows have changed, or streams have ended
	block   bytes.Buffer
	encoder *hpack.Encoder
	window  int64            // octets that the peer still takes on the connection
	initial int64            // the same for a new stream
	used    map[uint32]int64 // octets of it that a stream has used
	ended   map[uint32]bool  // streams that the peer reset
	gone    bool             // the connection has ended
}

func newConn2(conn net.Conn, in io.Reader) *conn2 {
	c := &conn2{Conn: conn, framer: http2.NewFramer(conn, in), window: firstWindow, initial: firstWindow,
		used: map[uint32]int64{}, ended: map[uint32]bool{}}
	c.news = sync.NewCond(&c.mu)
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.framer.AllowIllegalWrites = true
	c.encoder = hpack.NewEncoder(&c.block)
	return c
}

// begin sends this end's settings, and opens its windows.
func (c *conn2) begin(settings ...http2.Setting) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	settings = append(settings, http2.Setting{ID: http2.SettingInitialWindowSize, Val: receiveWindow})
	return errors.Join(c.framer.WriteSettings(settings...), c.framer.WriteWindowUpdate(0, receiveWindow))
}

// headers sends field lines, in as many frames as they need.
func (c *conn2) headers(id uint32, fields []string, end bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.block.Reset()
	for _, line := range fields {
		name, value := cutField(line)
		if err := c.encoder.WriteField(hpack.HeaderField{Name: name, Value: strings.TrimPrefix(value, " ")}); err != nil {
			return err
		}
	}
	part := c.block.Next(frameSize)
	err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: part, EndStream: end, EndHeaders: c.block.Len() == 0})
	for err == nil && c.block.Len() > 0 {
		part = c.block.Next(frameSize)
		err = c.framer.WriteContinuation(id, c.block.Len() == 0, part)
	}
	return err
}

// data sends a body as the peer's windows allow.
func (c *conn2) data(id uint32, body string, end bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		for body != "" && !c.gone && !c.ended[id] && min(c.window, c.initial-c.used[id]) <= 0 {
			c.news.Wait()
		}
		if c.gone || c.ended[id] {
			return net.ErrClosed
		}
		n := min(int64(len(body)), frameSize)
		if n > 0 {
			n = min(n, c.window, c.initial-c.used[id])
		}
		c.window, c.used[id] = c.window-n, c.used[id]+n
		part := body[:n]
		body = body[n:]
		if err := c.framer.WriteData(id, end && body == "", []byte(part)); err != nil || body == "" {
			return err
		}
	}
}

func (c *conn2) reset(id uint32, code http2.ErrCode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.framer.WriteRSTStream(id, code) // the reader learns of a connection that has ended
}

func (c *conn2) goAway(last uint32, code http2.ErrCode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.framer.WriteGoAway(last, code, nil)
}

// next is the next frame that is about a request; the others it deals with. Errors other than an http2.StreamError are final.
func (c *conn2) next() (http2.Frame, error) {
	for {
		f, err := c.framer.ReadFrame()
		if err != nil {
			if !errors.As(err, &http2.StreamError{}) {
				c.close()
			}
			return nil, err
		}
		if c.manage(f) {
			return f, nil
		}
	}
}

// close ends the connection, and all who wait for windows.
func (c *conn2) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = true
	c.news.Broadcast()
}

// manage does what a frame asks of the connection, and tells whether it is about a request.
func (c *conn2) manage(f http2.Frame) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if f.IsAck() {
			return false
		}
		if v, ok := f.Value(http2.SettingInitialWindowSize); ok {
			c.initial = int64(v)
		}
		if v, ok := f.Value(http2.SettingHeaderTableSize); ok {
			c.encoder.SetMaxDynamicTableSizeLimit(v)
		}
		_ = c.framer.WriteSettingsAck()
	case *http2.PingFrame:
		if !f.IsAck() {
			_ = c.framer.WritePing(true, f.Data)
		}
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			c.window += int64(f.Increment)
		} else {
			c.used[f.StreamID] -= int64(f.Increment)
		}
	case *http2.DataFrame:
		if n := f.Header().Length; n > 0 {
			_ = c.framer.WriteWindowUpdate(0, n)
			_ = c.framer.WriteWindowUpdate(f.StreamID, n)
		}
		return true
	case *http2.RSTStreamFrame:
		c.ended[f.StreamID] = true
		c.news.Broadcast()
		return true
	default:
		return true
	}
	c.news.Broadcast()
	return false
}

// headOf is a field section as a message: regular fields, and pseudo-header fields under their names with the colon.
func headOf(f *http2.MetaHeadersFrame) *message {
	m := &message{}
	for _, field := range f.Fields {
		m.fields = append(m.fields, field.Name+": "+field.Value)
	}
	return m
}
