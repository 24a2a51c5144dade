package load

import (
	"encoding/binary"
	"fmt"
	"sync"

	"golang.org/x/net/http2/hpack"
)

// Sizes of gRPC messages, without their prefix of 5 bytes (PROTOCOL-HTTP2 of gRPC).
const (
	Asked    = 100
	Answered = 1 << 10
	prefix   = 5
)

// The methods that the backend has.
const (
	UnaryMethod  = "/bench.Echo/Unary"
	StreamMethod = "/bench.Echo/Stream"
)

// unary is a place for one exchange after the other on a shared connection.
type unary struct {
	session *session
	stream  stream
	fields  []hpack.HeaderField
	body    []byte // nil: none
	want    int    // bytes of data
	grpc    bool
}

// HTTP2 opens connections to a proxy, and so many streams on each. They ask for path and expect 200 with size bytes.
func HTTP2(address, path string, size, connections, streams int) ([]Worker, error) {
	fields := head("GET", path, hpack.HeaderField{Name: "user-agent", Value: "bench/1.0"}, hpack.HeaderField{Name: "accept", Value: "*/*"})
	return sessions(address, connections, streams, func(s *session) Worker {
		return &unary{session: s, fields: fields, want: size, stream: stream{ready: make(chan error, 1)}}
	})
}

// Unary opens connections for gRPC, and so many calls at a time on each.
func Unary(address string, connections, streams int) ([]Worker, error) {
	fields := call(UnaryMethod)
	return sessions(address, connections, streams, func(s *session) Worker {
		return &unary{session: s, fields: fields, body: message(Asked), want: prefix + Answered, grpc: true, stream: stream{ready: make(chan error, 1)}}
	})
}

// Stream opens connections with so many bidirectional gRPC streams each, which stay. An operation is one message there and
// one back.
func Stream(address string, connections, streams int) ([]Worker, error) {
	fields, body := call(StreamMethod), message(Asked)
	return sessions(address, connections, streams, func(s *session) Worker {
		return &streaming{session: s, fields: fields, body: body, stream: stream{ready: make(chan error, 1)}}
	})
}

func head(method, path string, more ...hpack.HeaderField) []hpack.HeaderField {
	return append([]hpack.HeaderField{
		{Name: ":method", Value: method}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: path},
		{Name: ":authority", Value: "web.bench.svc.cluster.local"},
	}, more...)
}

func call(method string) []hpack.HeaderField {
	return head("POST", method, hpack.HeaderField{Name: "content-type", Value: "application/grpc"},
		hpack.HeaderField{Name: "te", Value: "trailers"}, hpack.HeaderField{Name: "user-agent", Value: "grpc-bench/1.0"})
}

// message is a gRPC message of n bytes with its prefix.
func message(n int) []byte {
	m := make([]byte, prefix+n)
	binary.BigEndian.PutUint32(m[1:], uint32(n))
	return m
}

func sessions(address string, connections, streams int, worker func(*session) Worker) ([]Worker, error) {
	var workers []Worker
	for range connections {
		s, err := newSession(address)
		if err != nil {
			CloseAll(workers)
			return nil, err
		}
		for range streams {
			workers = append(workers, worker(s))
		}
	}
	return workers, nil
}

func (u *unary) Close() error { return u.session.conn.Close() }

func (u *unary) Do() error {
	if err := u.session.begin(&u.stream, u.fields, u.body, false); err != nil {
		return err
	}
	if err := <-u.stream.ready; err != nil {
		return err
	}
	return u.stream.check(u.want, u.grpc)
}

// check looks at a finished exchange.
func (s *stream) check(want int, grpc bool) error {
	if s.status != "200" || s.got != want || grpc && s.grpc != "0" {
		return fmt.Errorf("answer with status %q, %d bytes, grpc-status %q; expected 200 with %d bytes", s.status, s.got, s.grpc, want)
	}
	return nil
}

// streaming is one stream for many messages.
type streaming struct {
	session *session
	stream  stream
	fields  []hpack.HeaderField
	body    []byte
	open    sync.Once
	err     error
}

func (s *streaming) Close() error { return s.session.conn.Close() }

func (s *streaming) Do() error {
	s.open.Do(func() { s.err = s.session.begin(&s.stream, s.fields, nil, true) })
	if s.err != nil {
		return s.err
	}
	if err := s.session.send(&s.stream, s.body, s.stream.got+prefix+Answered); err != nil {
		return err
	}
	if err := <-s.stream.ready; err != nil {
		return err
	}
	if s.stream.ended {
		return fmt.Errorf("the stream ended with status %q, grpc-status %q", s.stream.status, s.stream.grpc)
	}
	return nil
}
