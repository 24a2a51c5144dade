//go:build differential

package differential

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/net/http2"
)

// onlyHTTP1 are answers whose point is in the syntax of HTTP/1.1.
var onlyHTTP1 = map[string]bool{
	"http10": true, "http10-open": true, "no-reason": true, "until-close": true, "half-head": true, "garbage": true, "bad-version": true,
	"bare-lf": true, "folded": true, "bad-chunk": true, "extra-data": true, "body-204": true, "gzip-coding": true, "length-and-chunked": true,
}

// translate says in frames what comes in HTTP/1.1. What breaks off in the middle resets the stream; so does, without an error, the
// end of an answer to a request that is not complete (RFC 9113 section 8.1).
func (s *served2) translate(in *bufio.Reader, complete bool) {
	for {
		m, err := readHead(in)
		if err != nil {
			s.broken(err)
			return
		}
		_, rest, _ := strings.Cut(m.start, " ")
		code, _, _ := strings.Cut(rest, " ")
		tunnel := code == "101" && s.get(":protocol") != ""
		if tunnel {
			code = "200" // RFC 8441 section 5
		}
		head, chunked := s.head(code, m)
		interim := len(code) == 3 && code[0] == '1' && code != "101"
		empty := s.get(":method") == "HEAD" || code == "204" || code == "304" || m.get("content-length") == "0"
		if err := s.c.headers(s.id, head, empty); err != nil || interim {
			if err != nil {
				return
			}
			continue
		}
		switch {
		case empty:
		case chunked:
			err = s.chunks(in, m)
		default:
			err = s.copy(in, m.get("content-length"))
		}
		if err == nil && !complete && !tunnel {
			s.c.reset(s.id, http2.ErrCodeNo)
		}
		return
	}
}

// head are the lines of a head; what frames it in HTTP/1.1 is left out.
func (s *served2) head(code string, m *message) (lines []string, chunked bool) {
	lines = []string{":status: " + code}
	for _, line := range m.fields {
		name, value := cutField(line)
		name, value = strings.ToLower(name), strings.TrimSpace(value)
		switch {
		case name == "transfer-encoding" && value == "chunked":
			chunked = true
		case name == "connection" && value == "close", s.get(":protocol") != "" && (name == "connection" || name == "upgrade"):
		default:
			lines = append(lines, name+": "+value)
		}
	}
	return lines, chunked
}

func (s *served2) chunks(in *bufio.Reader, m *message) error {
	err := readBody(in, m, true)
	if err != nil {
		_ = s.c.data(s.id, m.body, false) // the reader learns of errors
		s.broken(err)
		return err
	}
	if m.trailers == nil {
		return s.c.data(s.id, m.body, true)
	}
	if err := s.c.data(s.id, m.body, false); err != nil {
		return err
	}
	for i, line := range m.trailers {
		m.trailers[i] = strings.ToLower(line)
	}
	return s.c.headers(s.id, m.trailers, true)
}

// copy passes octets on as they come: as many as there have to be, or all.
func (s *served2) copy(in *bufio.Reader, length string) error {
	left, err := strconv.Atoi(length)
	all := err != nil
	buffer := make([]byte, frameSize)
	for all || left > 0 {
		part := buffer
		if !all {
			part = buffer[:min(left, len(buffer))]
		}
		n, err := in.Read(part)
		left -= n
		if n > 0 {
			if err := s.c.data(s.id, string(part[:n]), false); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) && all {
			break
		}
		if err != nil {
			s.broken(err)
			return err
		}
	}
	return s.c.data(s.id, "", true)
}

// broken resets the stream as the answer's connection ended.
func (s *served2) broken(err error) {
	code := http2.ErrCodeInternal
	if errors.Is(err, syscall.ECONNRESET) {
		code = http2.ErrCodeCancel
	}
	s.c.reset(s.id, code)
}

// say sends a head with field lines.
func (s *served2) say(end bool, lines ...string) {
	_ = s.c.headers(s.id, append(lines, "x-backend: "+s.service), end) // the reader learns of errors
}

func (s *served2) body(text string, end bool) { _ = s.c.data(s.id, text, end) }

func (s *served2) hello() {
	s.say(false, ":status: 200")
	s.body("hello\n", true)
}

// resets is an answer that is none.
func resets(code http2.ErrCode) func(*served2) {
	return func(s *served2) { s.c.reset(s.id, code) }
}

// once is what becomes of the first attempt; the second one is answered.
func once(first func(*served2)) func(*served2) {
	return func(s *served2) {
		if s.b.try() == 1 {
			first(s)
		} else {
			s.hello()
		}
	}
}

// refuseByGoAway ends the connection and says that this request has not been processed (RFC 9113 section 6.8).
func refuseByGoAway(s *served2) {
	s.c.goAway(s.id-2, http2.ErrCodeNo)
	s.c.Close()
}

// answers2 are the ways to answer that only HTTP/2 has.
var answers2 = map[string]func(*served2){
	"h2 refused once":        once(resets(http2.ErrCodeRefusedStream)),
	"h2 refused":             resets(http2.ErrCodeRefusedStream),
	"h2 cancel":              resets(http2.ErrCodeCancel),
	"h2 internal error":      resets(http2.ErrCodeInternal),
	"h2 protocol error":      resets(http2.ErrCodeProtocol),
	"h2 enhance your calm":   resets(http2.ErrCodeEnhanceYourCalm),
	"h2 no error":            resets(http2.ErrCodeNo),
	"h2 http/1.1 required":   resets(http2.ErrCodeHTTP11Required),
	"h2 goaway below once":   once(refuseByGoAway),
	"h2 goaway below":        refuseByGoAway,
	"h2 closed":              func(s *served2) { s.c.Close() },
	"h2 goaway with error":   func(s *served2) { s.c.goAway(s.id, http2.ErrCodeInternal); s.c.Close() },
	"h2 goaway, then answer": func(s *served2) { s.c.goAway(s.id, http2.ErrCodeNo); s.hello() },
	"h2 no error after answer": func(s *served2) {
		s.hello()
		s.c.reset(s.id, http2.ErrCodeNo)
	},
	"h2 cancel after answer": func(s *served2) {
		s.hello()
		s.c.reset(s.id, http2.ErrCodeCancel)
	},
	"h2 refused after head": func(s *served2) {
		s.say(false, ":status: 200")
		s.c.reset(s.id, http2.ErrCodeRefusedStream)
	},
	"h2 cancel after head": func(s *served2) {
		s.say(false, ":status: 200")
		s.body("hel", false)
		s.c.reset(s.id, http2.ErrCodeCancel)
	},
	"h2 no error after head": func(s *served2) {
		s.say(false, ":status: 200")
		s.body("hel", false)
		s.c.reset(s.id, http2.ErrCodeNo)
	},
	"h2 closed after head": func(s *served2) {
		s.say(false, ":status: 200")
		s.body("hel", false)
		s.c.Close()
	},
	"h2 empty by data": func(s *served2) { s.say(false, ":status: 200"); s.body("", true) },
	"h2 many frames": func(s *served2) {
		s.say(false, ":status: 200")
		for range 20 {
			s.body("hello ", false)
		}
		s.body("", true)
	},
	"h2 trailers only": func(s *served2) {
		s.say(true, ":status: 200", "content-type: application/grpc", "grpc-status: 5", "grpc-message: not here")
	},
	"h2 grpc": func(s *served2) {
		s.say(false, ":status: 200", "content-type: application/grpc")
		s.body("\x00\x00\x00\x00\x02\x08\x01", false)
		_ = s.c.headers(s.id, []string{"grpc-status: 0"}, true)
	},
	"h2 grpc failed": func(s *served2) {
		s.say(false, ":status: 200", "content-type: application/grpc")
		s.body("\x00\x00\x00\x00\x02\x08\x01", false)
		_ = s.c.headers(s.id, []string{"grpc-status: 13", "grpc-message: %E2%98%83", "x-detail-bin: AAE="}, true)
	},
	"h2 hints": func(s *served2) {
		_ = s.c.headers(s.id, []string{":status: 103", "link: </a.css>"}, false)
		s.hello()
	},
	"h2 interim with end":      func(s *served2) { s.say(true, ":status: 103") },
	"h2 101":                   func(s *served2) { s.say(true, ":status: 101") },
	"h2 no status":             func(s *served2) { s.say(true) },
	"h2 two statuses":          func(s *served2) { s.say(true, ":status: 200", ":status: 200") },
	"h2 status in words":       func(s *served2) { s.say(true, ":status: 200 OK") },
	"h2 request field":         func(s *served2) { s.say(true, ":status: 200", ":path: /") },
	"h2 late status":           func(s *served2) { s.say(true, "x-a: b", ":status: 200") },
	"h2 upper case":            func(s *served2) { s.say(true, ":status: 200", "X-Upper: a") },
	"h2 connection":            func(s *served2) { s.say(true, ":status: 200", "connection: close") },
	"h2 transfer-encoding":     func(s *served2) { s.say(true, ":status: 200", "transfer-encoding: chunked") },
	"h2 shorter than length":   func(s *served2) { s.say(false, ":status: 200", "content-length: 10"); s.body("hello", true) },
	"h2 longer than length":    func(s *served2) { s.say(false, ":status: 200", "content-length: 2"); s.body("hello", true) },
	"h2 no body for length":    func(s *served2) { s.say(true, ":status: 200", "content-length: 10") },
	"h2 body of 204":           func(s *served2) { s.say(false, ":status: 204"); s.body("hello", true) },
	"h2 body of 304":           func(s *served2) { s.say(false, ":status: 304"); s.body("hello", true) },
	"h2 data first":            func(s *served2) { s.body("hello", true) },
	"h2 status in trailers":    func(s *served2) { s.trailers(true, ":status: 200") },
	"h2 upper case in trailer": func(s *served2) { s.trailers(true, "X-Upper: a") },
	"h2 trailers without end":  func(s *served2) { s.trailers(false, "x-a: b") },
}

func (s *served2) trailers(end bool, lines ...string) {
	s.say(false, ":status: 200")
	s.body("hello", false)
	_ = s.c.headers(s.id, lines, end)
}
