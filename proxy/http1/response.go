package http1

import (
	"bytes"

	"github.com/leno-mesh/leno/proxy/msg"
)

// MayBeResponse tells whether a head that is not all there can become that of a response. A backend of another protocol may
// wait for an answer to its greeting for ever.
func MayBeResponse(begin []byte) bool {
	const want = "HTTP/1."
	n := min(len(begin), len(want))
	return string(begin[:n]) == want[:n]
}

// ParseResponse reads the response head that fills buf exactly into resp, whose parts become views into buf. resp
// must be reset. head tells that the request was HEAD, whose responses have no body.
func ParseResponse(buf []byte, head bool, resp *msg.Response) error {
	end := bytes.IndexByte(buf, '\n')
	if end < 1 {
		return ErrStatusLine
	}
	if buf[end-1] != '\r' {
		return ErrBareLF
	}
	if err := parseStatusLine(buf[:end-1], resp); err != nil {
		return err
	}
	fr := framing{length: -1}
	if err := parseFields(buf[end+1:], &resp.Fields, &fr); err != nil {
		return err
	}
	return fr.finishResponse(head, resp)
}

// parseStatusLine reads "version SP status SP [reason]" (RFC 9112 section 4). The second space is often forgotten
// where there is no reason, and harmless.
func parseStatusLine(line []byte, resp *msg.Response) error {
	if len(line) < 12 || line[8] != ' ' {
		return ErrStatusLine
	}
	minor, err := parseVersion(line[:8])
	if err != nil {
		return ErrStatusLine
	}
	resp.Minor = minor
	if !isDigit(line[9]) || !isDigit(line[10]) || !isDigit(line[11]) || line[9] == '0' {
		return ErrStatusLine
	}
	resp.Status = int(line[9]-'0')*100 + int(line[10]-'0')*10 + int(line[11]-'0')
	if len(line) > 12 {
		if line[12] != ' ' || !all(line[13:], isValue) {
			return ErrStatusLine
		}
		resp.Reason = line[13:]
	}
	return nil
}

// finishResponse works out body length and persistence (RFC 9112 sections 6.3 and 9.3).
func (fr *framing) finishResponse(head bool, resp *msg.Response) error {
	closing, keep, upgrade, err := fr.hop(&resp.Fields)
	if err != nil {
		return err
	}
	resp.Close = closing || resp.Minor == 0 && !keep
	if upgrade || resp.Status == 101 {
		resp.Upgrade = fr.upgrade
	}
	if fr.chunked && fr.length >= 0 {
		return ErrLengthAndCoding
	}
	if fr.chunked && resp.Minor == 0 {
		return ErrCodingOld
	}
	switch {
	case resp.Status < 200 || resp.Status == 204:
		// RFC 9110 section 8.6: such a response has no Content-Length either.
	case head || resp.Status == 304:
		resp.Announced = fr.length
	case fr.chunked:
		resp.Body.Kind = msg.Chunked
	case fr.length >= 0:
		resp.Body = msg.Body{Kind: msg.Sized, Length: fr.length}
	default:
		resp.Body.Kind = msg.UntilClose
		resp.Close = true
	}
	return nil
}
