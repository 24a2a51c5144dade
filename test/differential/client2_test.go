//go:build differential

package differential

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"golang.org/x/net/http2"
)

// stream2 is a request as HTTP/2 sends it.
type stream2 struct {
	head     []string // field lines, those of pseudo-header fields too: ":method: GET"
	body     []string // DATA frames
	trailers []string
	open     bool // the last of all that does not end the stream
}

func (s *stream2) method() string { return (&message{fields: s.head}).get(":method") }

// tunnel is what opens one (RFC 9113 section 8.5).
func (s *stream2) tunnel() bool { return s.method() == "CONNECT" }

// send sends a stream; then, if it is not "", keeps the stream open for it.
func (s *stream2) send(c *conn2, id uint32, then bool) error {
	open := s.open || then
	if err := c.headers(id, s.head, !open && s.body == nil && s.trailers == nil); err != nil {
		return err
	}
	for i, part := range s.body {
		if err := c.data(id, part, !open && i == len(s.body)-1 && s.trailers == nil); err != nil {
			return err
		}
	}
	if s.trailers == nil {
		return nil
	}
	return c.headers(id, s.trailers, !open)
}

// exchangeHTTP2 sends a request in HTTP/2, whose use the server is known to take, and reads what comes back.
func exchangeHTTP2(address string, r *request) outcome {
	var o outcome
	conn, err := net.Dial("tcp", address)
	if err != nil {
		o.end = "not connected"
		return o
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(wait))
	c := newConn2(conn, conn)
	defer c.close()
	_, err = io.WriteString(conn, http2.ClientPreface)
	// SETTINGS come first, before the reader acknowledges those of the server (RFC 9113 section 3.4).
	if err = errors.Join(err, c.begin(http2.Setting{ID: http2.SettingEnablePush, Val: 0})); err != nil {
		o.end = ended(err)
		return o
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_ = r.http2.send(c, 1, r.then != "") // what goes wrong with writing is seen by reading, too
	}()
	o.read2(c, r)
	if r.again && o.end == "" && o.answer != nil {
		o.again = again2(c)
	}
	c.close()
	<-sent
	return o
}

// read2 reads what becomes of stream 1.
func (o *outcome) read2(c *conn2, r *request) {
	away := ""
	for {
		f, err := c.next()
		var wrong http2.StreamError
		switch {
		case errors.As(err, &wrong):
			o.end = "malformed: " + fmt.Sprint(wrong.Cause)
			return
		case err != nil && away != "":
			o.end = away
			return
		case err != nil:
			o.end = ended(err)
			return
		}
		if f, is := f.(*http2.GoAwayFrame); is {
			away = "GOAWAY " + f.ErrCode.String()
			if f.LastStreamID < 1 || f.ErrCode != http2.ErrCodeNo {
				o.end = away
				return
			}
			continue
		}
		if f.Header().StreamID == 1 && o.take2(c, f, r) {
			return
		}
	}
}

// take2 takes a frame of the answer, and tells whether it is the last one of interest.
func (o *outcome) take2(c *conn2, f http2.Frame, r *request) bool {
	switch f := f.(type) {
	case *http2.RSTStreamFrame:
		o.end = "RST_STREAM " + f.ErrCode.String()
		return true
	case *http2.MetaHeadersFrame:
		if o.answer == nil {
			o.head2(c, f, r)
		} else {
			o.answer.trailers = headOf(f).fields
		}
		return f.StreamEnded()
	case *http2.DataFrame:
		if o.answer == nil {
			o.end = "DATA before HEADERS"
			return true
		}
		o.answer.body += string(f.Data())
		if o.answer.body != "" {
			o.answer.framing = "frames"
		}
		return f.StreamEnded() || r.http2.tunnel() && len(o.answer.body) >= 4
	}
	return false
}

func (o *outcome) head2(c *conn2, f *http2.MetaHeadersFrame, r *request) {
	m := headOf(f)
	status, _ := strconv.Atoi(f.PseudoValue("status")) // 0 is told as such
	m.start = "HTTP/2 " + f.PseudoValue("status")
	m.fields = m.fields[min(len(f.PseudoFields()), len(m.fields)):]
	o.status = status
	interim := status >= 100 && status < 200
	if interim {
		o.interim = append(o.interim, status)
	} else {
		o.answer = m
	}
	if r.then != "" && (interim && len(o.interim) == 1 || !interim && r.http2.tunnel() && !f.StreamEnded()) {
		if err := c.data(1, r.then, !r.http2.tunnel()); err != nil {
			o.end = ended(err)
		}
	}
}

// again2 asks once more on an open connection.
func again2(c *conn2) string {
	s := &stream2{head: []string{":method: GET", ":scheme: http", ":authority: again", ":path: /", "x-answer: empty"}}
	if err := s.send(c, 3, false); err != nil {
		return "closed"
	}
	for {
		f, err := c.next()
		if err != nil {
			return "closed"
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			if f.StreamID == 3 {
				return "HTTP/2 " + f.PseudoValue("status")
			}
		case *http2.RSTStreamFrame:
			if f.StreamID == 3 {
				return "RST_STREAM " + f.ErrCode.String()
			}
		case *http2.GoAwayFrame:
			return "closed"
		}
	}
}
