package detect

import (
	"bytes"
)

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// maxMethod bounds the method of a request that is recognised without its whole line.
const maxMethod = 24

// classify looks at what there is. Undecided: more bytes may change the verdict, which is the best guess so far.
func classify(b []byte) (verdict Verdict, decided bool) {
	if b[0] == recordHandshake {
		return classifyTLS(b)
	}
	if n := min(len(b), len(preface)); string(b[:n]) == preface[:n] {
		// "P" may also begin POST: only the whole preface decides.
		return Verdict{Kind: HTTP2}, n == len(preface)
	}
	return classifyHTTP1(b)
}

// classifyHTTP1 wants a whole request line (RFC 9112, section 3), because other protocols begin with a word too. How
// strict the line is, is the codec's business: whatever ends in " HTTP/1.x" is meant to be a request.
func classifyHTTP1(b []byte) (Verdict, bool) {
	line, _, complete := bytes.Cut(b, []byte{'\n'})
	method, rest, spaced := bytes.Cut(line, []byte{' '})
	if len(method) == 0 || len(method) > maxMethod {
		return Verdict{Kind: Opaque}, true
	}
	for _, c := range method {
		if !isToken(c) {
			return Verdict{Kind: Opaque}, true
		}
	}
	if !complete {
		return Verdict{Kind: Opaque}, false
	}
	line = bytes.TrimRight(rest, "\r")
	i := bytes.LastIndexByte(line, ' ')
	if spaced && i > 0 && bytes.HasPrefix(line[i+1:], []byte("HTTP/1.")) {
		return Verdict{Kind: HTTP1}, true
	}
	return Verdict{Kind: Opaque}, true
}

// guess decides when no more bytes may be waited for.
func guess(b []byte, undecided Verdict) Verdict {
	switch {
	case undecided.Kind == HTTP2 && len(b) < len("PRI *"):
		return Verdict{Kind: Opaque}
	case undecided.Kind == HTTP2, undecided.Kind == TLS:
		return Verdict{Kind: undecided.Kind}
	}
	// A long request line, or one that somebody types: a known method and the beginning of a target.
	method, rest, _ := bytes.Cut(b, []byte{' '})
	switch string(method) {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE":
		if len(rest) > 0 && (rest[0] == '/' || rest[0] == '*' || rest[0] == 'h') {
			return Verdict{Kind: HTTP1}
		}
	}
	return Verdict{Kind: Opaque}
}

// isToken is tchar of RFC 9110, section 5.6.2.
func isToken(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), c) >= 0
}
