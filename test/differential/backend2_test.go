//go:build differential

package differential

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"

	"golang.org/x/net/http2"
)

// serve2 answers the requests of a connection that has begun with the HTTP/2 preface.
func (b *backends) serve2(conn net.Conn, in *bufio.Reader, service string) {
	if _, err := io.CopyN(io.Discard, in, int64(len(http2.ClientPreface))); err != nil {
		return
	}
	c := newConn2(conn, in)
	// Extended CONNECT is offered (RFC 8441 section 3).
	if c.begin(http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 1}) != nil {
		return
	}
	streams := map[uint32]*served2{}
	defer func() {
		for _, s := range streams {
			s.cutOff()
		}
	}()
	for {
		f, err := c.next()
		var wrong http2.StreamError
		switch {
		case errors.As(err, &wrong):
			b.add(seen{service: service, message: message{start: "malformed: " + fmt.Sprint(wrong.Cause)}})
			c.reset(wrong.StreamID, http2.ErrCodeProtocol)
			continue
		case err != nil:
			return
		}
		id := f.Header().StreamID
		s := streams[id]
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			if s == nil {
				s = &served2{b: b, c: c, id: id, service: service, endpoint: conn.LocalAddr().String(), request: headOf(f)}
				streams[id] = s
				s.begin(f.StreamEnded())
			} else {
				s.request.trailers = headOf(f).fields
				s.end()
			}
		case *http2.DataFrame:
			if s != nil {
				s.data(string(f.Data()), f.StreamEnded())
			}
		case *http2.RSTStreamFrame:
			if s != nil {
				s.cutOff()
			}
		}
	}
}

// served2 is one request as its backend answers it in HTTP/2. What is not marked otherwise belongs to the reader of the connection.
type served2 struct {
	b        *backends
	c        *conn2
	id       uint32
	service  string
	endpoint string
	request  *message // not changed any more once an answer has begun

	complete bool     // the request has ended
	began    bool     // the answer has begun
	tunnel   net.Conn // where the client's octets go, or nil
	inner    net.Conn // the other end of answers that are written in HTTP/1.1, or nil
}

func (s *served2) get(name string) string { return s.request.get(name) }

// begin takes the head of a request.
func (s *served2) begin(ended bool) {
	s.request.start = fmt.Sprintf("%s %s HTTP/2", s.get(":method"), s.get(":path"))
	if s.get("expect") != "" && !early(s.request) {
		_ = s.c.headers(s.id, []string{":status: 100"}, false) // the reader learns of errors
	}
	switch {
	case ended:
		s.end()
	case early(s.request), s.get(":method") == "CONNECT":
		s.answer(false)
	}
}

// data takes a part of the body, or what comes through a tunnel.
func (s *served2) data(part string, ended bool) {
	switch {
	case s.tunnel != nil:
		_, _ = io.WriteString(s.tunnel, part) // whoever does not listen any more has had his reasons
	case !s.began:
		s.request.body += part
	}
	if ended {
		s.end()
	}
}

func (s *served2) end() {
	s.complete = true
	if !s.began {
		s.answer(false)
	}
}

// cutOff ends what is going on.
func (s *served2) cutOff() {
	if !s.began {
		s.answer(true)
	}
	if s.inner != nil {
		s.inner.Close()
	}
}

// answer tells what was seen and answers it, unless it was cut off.
func (s *served2) answer(cut bool) {
	s.began = true
	switch {
	case s.request.body == "":
	case s.get("content-length") != "":
		s.request.framing = "sized"
	default:
		s.request.framing = "frames"
	}
	s.b.add(seen{s.service, s.endpoint, *s.request, cut})
	if cut {
		return
	}
	if own, known := answers2[s.get("x-answer")]; known {
		own(s)
		return
	}
	near, far, err := pair()
	if err != nil {
		s.c.reset(s.id, http2.ErrCodeInternal)
		return
	}
	s.inner = far
	x := &exchange{conn: near, in: bufio.NewReader(near), service: s.service, request: s.inHTTP1()}
	if s.get(":protocol") != "" {
		s.tunnel = far
	}
	go func() {
		defer near.Close()
		x.answer()
	}()
	go func() {
		defer far.Close()
		s.translate(bufio.NewReader(far), s.complete)
	}()
}

// inHTTP1 is the request as answers that are written in HTTP/1.1 know it: extended CONNECT is an upgrade (RFC 8441 section 5).
func (s *served2) inHTTP1() *message {
	m := *s.request
	if protocol := s.get(":protocol"); protocol != "" {
		m.fields = append([]string{"upgrade: " + protocol}, m.fields...)
	}
	return &m
}

// pair are two ends of one connection, which can be reset.
func pair() (near, far net.Conn, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer listener.Close()
	if near, err = net.Dial("tcp", listener.Addr().String()); err != nil {
		return nil, nil, err
	}
	if far, err = listener.Accept(); err != nil {
		near.Close()
		return nil, nil, err
	}
	return near, far, nil
}
