package http1

import (
	"bytes"

	"github.com/leno-mesh/leno/proxy/msg"
)

// ParseRequest reads the request head that fills buf exactly (HeadEnd found its end) into req, whose parts become
// views into buf. req must be reset.
func ParseRequest(buf []byte, req *msg.Request) error {
	// RFC 9112 section 2.2: an empty line before the request line is ignored, since some clients send one after a body.
	if len(buf) >= 2 && buf[0] == '\r' && buf[1] == '\n' {
		buf = buf[2:]
	}
	end := bytes.IndexByte(buf, '\n')
	if end < 1 {
		return ErrRequestLine
	}
	if buf[end-1] != '\r' {
		return ErrBareLF
	}
	if end > MaxRequestLine {
		return ErrLineTooLong
	}
	target, err := parseRequestLine(buf[:end-1], req)
	if err != nil {
		return err
	}
	fr := framing{length: -1}
	if err := parseFields(buf[end+1:], &req.Fields, &fr); err != nil {
		return err
	}
	if err := fr.requestHost(req); err != nil {
		return err
	}
	if err := parseTarget(target, req); err != nil {
		return err
	}
	return fr.finishRequest(req)
}

// parseRequestLine reads "method SP target SP version" with exactly one space between (RFC 9112 section 3).
func parseRequestLine(line []byte, req *msg.Request) (target []byte, err error) {
	i := bytes.IndexByte(line, ' ')
	if i < 0 {
		return nil, ErrRequestLine
	}
	req.Method = line[:i]
	if i == 0 || i > MaxMethod || !all(req.Method, isToken) {
		return nil, ErrMethod
	}
	line = line[i+1:]
	j := bytes.IndexByte(line, ' ')
	if j < 0 {
		return nil, ErrRequestLine // HTTP/0.9
	}
	target = line[:j]
	if j == 0 || !all(target, isTarget) {
		return nil, ErrTarget
	}
	req.Minor, err = parseVersion(line[j+1:])
	return target, err
}

// parseVersion reads "HTTP/1.0" or "HTTP/1.1" (RFC 9112 section 2.3: case counts).
func parseVersion(b []byte) (uint8, error) {
	if len(b) != 8 || string(b[:5]) != "HTTP/" || !isDigit(b[5]) || b[6] != '.' || !isDigit(b[7]) {
		return 0, ErrRequestLine
	}
	if b[5] != '1' || b[7] > '1' {
		return 0, ErrVersion
	}
	return b[7] - '0', nil
}

// requestHost checks Host (RFC 9112 section 3.2): exactly one in HTTP/1.1, at most one in HTTP/1.0.
func (fr *framing) requestHost(req *msg.Request) error {
	switch {
	case fr.hosts > 1:
		return ErrHostDuplicate
	case fr.hosts == 0 && req.Minor == 1:
		return ErrHostMissing
	case !validHost(fr.host):
		return ErrHost
	}
	req.Authority = fr.host
	return nil
}

// parseTarget splits the request target by its four forms (RFC 9112 section 3.2). In absolute-form the target's
// authority replaces Host.
func parseTarget(target []byte, req *msg.Request) error {
	connect := string(req.Method) == "CONNECT"
	switch {
	case connect:
		if !validHost(target) || bytes.IndexByte(target, ':') < 0 {
			return ErrTarget
		}
		req.Authority, req.Path = target, nil
		return nil
	case target[0] == '/':
	case len(target) == 1 && target[0] == '*':
		if string(req.Method) != "OPTIONS" {
			return ErrTarget
		}
		req.Path = target
		return nil
	default:
		scheme := bytes.IndexByte(target, ':')
		if scheme < 0 || len(target) < scheme+3 || target[scheme+1] != '/' || target[scheme+2] != '/' {
			return ErrTarget
		}
		if !msg.EqualName(target[:scheme], "http") && !msg.EqualName(target[:scheme], "https") {
			return ErrTarget
		}
		rest := target[scheme+3:]
		end := bytes.IndexAny(rest, "/?")
		if end < 0 {
			end = len(rest)
		}
		if end == 0 || !validHost(rest[:end]) {
			return ErrTarget
		}
		req.Authority, target = rest[:end], rest[end:]
	}
	if i := bytes.IndexByte(target, '?'); i >= 0 {
		req.HasQuery = true
		req.Query, target = target[i+1:], target[:i]
	}
	if len(target) == 0 {
		target = rootPath
	}
	req.Path = target
	return nil
}

var rootPath = []byte("/")

// finishRequest works out body length and persistence (RFC 9112 sections 6.3 and 9.3).
func (fr *framing) finishRequest(req *msg.Request) error {
	closing, keep, upgrade, err := fr.hop(&req.Fields)
	if err != nil {
		return err
	}
	req.Close = closing || req.Minor == 0 && !keep
	switch {
	case fr.chunked && fr.length >= 0:
		return ErrLengthAndCoding
	case (fr.chunked || fr.length > 0) && string(req.Method) == "CONNECT":
		return ErrConnectBody // what follows the head belongs to the tunnel (RFC 9110 section 9.3.6)
	case fr.chunked && req.Minor == 0:
		return ErrCodingOld
	case fr.chunked:
		req.Body.Kind = msg.Chunked
	case fr.length >= 0:
		req.Body = msg.Body{Kind: msg.Sized, Length: fr.length}
	}
	req.Trailers = fr.te
	if fr.expects {
		if !msg.EqualName(fr.expect, "100-continue") {
			return ErrExpect
		}
		req.Continue = req.Minor == 1 // RFC 9110 section 10.1.1: ignored in HTTP/1.0
	}
	// A server may ignore Upgrade (RFC 9110 section 7.8). h2c is ignored always: it would hide requests in a tunnel.
	if upgrade && req.Minor == 1 && len(fr.upgrade) > 0 && !hasToken(fr.upgrade, "h2c") {
		req.Upgrade = fr.upgrade
	}
	return nil
}
