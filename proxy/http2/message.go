package http2

import (
	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/msg"
)

// verdict is what is wrong with a message. Malformed messages end their stream with PROTOCOL_ERROR (RFC 9113 section 8.1.1); those
// that are only unacceptable have a status to be answered with.
type verdict struct {
	malformed bool
	status    int
	reason    string
}

func malformed(reason string) verdict { return verdict{malformed: true, reason: reason} }

var (
	get           = []byte("GET")
	connect       = []byte("CONNECT")
	nameTE        = []byte("te")
	trailersValue = []byte("trailers")
	nameExpect    = []byte("expect")
	continueValue = []byte("100-continue")
	nameLength    = []byte("content-length")
	nameProtocol  = []byte(":protocol")
	unknownLength = int64(-1)
	present       = []byte{}
)

// pseudos are the pseudo-header fields of a request (RFC 9113 section 8.3.1, RFC 8441 section 4); nil: absent.
type pseudos struct{ method, scheme, authority, path, protocol []byte }

// request reads a request head out of s. length is Content-Length, -1 for none; host is a Host field, nil for none.
func (s *section) request(req *msg.Request) (length int64, v verdict) {
	var p pseudos
	rest := s.fields
	for len(rest) > 0 && isPseudo(rest[0].Name) {
		if !p.take(rest[0].Name, rest[0].Value) {
			return 0, malformed("an unknown, repeated or empty pseudo-header field")
		}
		rest = rest[1:]
	}
	var host []byte
	length = unknownLength
	for i := range rest {
		f := &rest[i]
		keep, v := s.regular(f, &length)
		if v.malformed {
			return 0, v
		}
		switch {
		case keep && len(f.Name) == 4 && string(f.Name) == "host":
			if host != nil {
				return 0, malformed("more than one Host")
			}
			host = f.Value
		case keep && len(f.Name) == 2 && string(f.Name) == "te":
			if !msg.EqualName(f.Value, "trailers") {
				return 0, malformed("TE with a value other than trailers")
			}
			req.Trailers = true
		case keep && len(f.Name) == 6 && string(f.Name) == "expect":
			if !msg.EqualName(f.Value, "100-continue") {
				return 0, verdict{status: 417, reason: http1.ErrExpect.Reason}
			}
			req.Continue = true
		case keep:
			req.Fields = append(req.Fields, *f)
		}
	}
	return length, p.request(req, host)
}

func isPseudo(name []byte) bool { return len(name) > 0 && name[0] == ':' }

func (p *pseudos) take(name, value []byte) bool {
	var to *[]byte
	switch string(name) {
	case ":method":
		to = &p.method
	case ":scheme":
		to = &p.scheme
	case ":authority":
		to = &p.authority
	case ":path":
		to = &p.path
	case ":protocol":
		to = &p.protocol
	default:
		return false
	}
	if *to != nil {
		return false
	}
	if value == nil {
		value = present
	}
	*to = value
	return true
}

// request checks the pseudo-header fields and fills the start of a request from them.
func (p *pseudos) request(req *msg.Request, host []byte) verdict {
	if len(p.method) > http1.MaxMethod || !http1.IsToken(p.method) {
		return malformed(":method is missing or malformed")
	}
	authority := p.authority
	switch {
	case authority == nil:
		authority = host
	case host != nil && !msg.EqualFold(host, authority):
		return malformed(":authority and Host differ")
	}
	if !http1.IsHost(authority) {
		return malformed(":authority is malformed")
	}
	req.Method, req.Authority, req.Minor = p.method, authority, 1
	isConnect := string(p.method) == "CONNECT"
	if p.protocol != nil && (!isConnect || !http1.IsToken(p.protocol)) {
		return malformed(":protocol with another method than CONNECT, or malformed")
	}
	if isConnect && p.protocol == nil {
		if p.path != nil || p.scheme != nil || len(p.authority) == 0 {
			return malformed("CONNECT with :path or :scheme, or without :authority")
		}
		return verdict{}
	}
	if !isScheme(p.scheme) || len(p.path) == 0 {
		return malformed(":scheme or :path is missing or malformed")
	}
	if isConnect && msg.EqualName(p.protocol, "h2c") {
		return malformed(":protocol h2c, which would hide requests in a tunnel")
	}
	if isConnect { // what HTTP/1.1 calls Upgrade; layers and routes know it under that name
		req.Method, req.Upgrade = get, p.protocol
	}
	return target(p.path, req)
}

// isScheme tells whether b is a scheme (RFC 3986 section 3.1).
func isScheme(b []byte) bool {
	for _, c := range b {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (c < '0' || c > '9') && c != '+' && c != '-' && c != '.' {
			return false
		}
	}
	return len(b) > 0
}

// target splits :path (RFC 9113 section 8.3.1): origin-form, or "*" for OPTIONS.
func target(path []byte, req *msg.Request) verdict {
	if len(path) > http1.MaxRequestLine {
		return verdict{status: 414, reason: http1.ErrLineTooLong.Reason}
	}
	if !http1.IsTarget(path) || path[0] != '/' && (string(path) != "*" || string(req.Method) != "OPTIONS") {
		return malformed(":path is malformed")
	}
	for i, c := range path {
		if c == '?' {
			req.HasQuery, req.Query, path = true, path[i+1:], path[:i]
			break
		}
	}
	req.Path = path
	return verdict{}
}

// regular checks a field that is no pseudo-header field (RFC 9113 sections 8.2.1 and 8.2.2). keep is false for Content-Length, which goes to
// length.
func (s *section) regular(f *msg.Field, length *int64) (keep bool, v verdict) {
	for _, c := range f.Name {
		if c >= 'A' && c <= 'Z' || c == ':' {
			return false, malformed("a field name has capitals, or a pseudo-header field stands behind others")
		}
	}
	f.Value = http1.Trim(f.Value) // must have none (RFC 9113 section 8.2.1), but harmless, and common among backends
	if !http1.IsToken(f.Name) || !http1.IsFieldValue(f.Value) {
		return false, malformed("a field name or value has forbidden octets")
	}
	switch len(f.Name) {
	case 7, 10, 16, 17:
		switch string(f.Name) {
		case "upgrade", "connection", "keep-alive", "proxy-connection", "transfer-encoding":
			return false, malformed("a field that belongs to an HTTP/1.1 connection")
		}
	case 14:
		if string(f.Name) == "content-length" {
			n, ok := http1.ParseLength(f.Value)
			if !ok || *length >= 0 {
				return false, malformed("Content-Length is malformed or repeated")
			}
			*length = n
			return false, verdict{}
		}
	}
	return true, verdict{}
}

// response reads a response head out of s.
func (s *section) response(resp *msg.Response) (length int64, v verdict) {
	length = unknownLength
	if len(s.fields) == 0 || string(s.fields[0].Name) != ":status" || len(s.fields[0].Value) != 3 {
		return 0, malformed(":status is missing or malformed")
	}
	for _, c := range s.fields[0].Value {
		if c < '0' || c > '9' {
			return 0, malformed(":status is malformed")
		}
		resp.Status = resp.Status*10 + int(c-'0')
	}
	if resp.Status < 100 || resp.Status == 101 {
		return 0, malformed(":status is not one of HTTP/2")
	}
	resp.Minor = 1
	for i := range s.fields[1:] {
		f := &s.fields[1+i]
		keep, v := s.regular(f, &length)
		if v.malformed {
			return 0, v
		}
		if keep {
			resp.Fields = append(resp.Fields, *f)
		}
	}
	return length, verdict{}
}

// trailers checks a trailer section (RFC 9113 section 8.1). Fields that frame or route a message are taken out, as package http1 does.
func (s *section) trailers() (msg.Fields, verdict) {
	kept := s.fields[:0]
	for i := range s.fields {
		f := s.fields[i]
		length := unknownLength
		keep, v := s.regular(&f, &length)
		if v.malformed {
			return nil, v
		}
		if keep && !http1.Untrailable(f.Name) {
			kept = append(kept, f)
		}
	}
	return kept, verdict{}
}
