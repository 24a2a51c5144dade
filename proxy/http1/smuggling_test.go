package http1_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/msg"
)

// parseRequest reads a head at the start of s.
func parseRequest(s string) (*msg.Request, int, error) {
	req := new(msg.Request)
	end, err := http1.HeadEnd([]byte(s), 0)
	if err != nil || end == 0 {
		return nil, 0, err
	}
	return req, end, http1.ParseRequest([]byte(s[:end]), req)
}

// smuggling: requests that implementations have been seen to read in two ways. Each is a whole head, with H standing
// for "Host: h" and its line end; status 0 means that it is accepted, in the one way that is stated.
var smuggling = []struct {
	rfc, name, head string
	want            error
}{
	// Content-Length and Transfer-Encoding against each other.
	{"9112 6.3", "CL.TE", "POST / HTTP/1.1\r\nH\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", http1.ErrLengthAndCoding},
	{"9112 6.3", "TE.CL", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n", http1.ErrLengthAndCoding},
	{"9112 6.3", "CL.0 with TE", "GET / HTTP/1.1\r\nH\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n", http1.ErrLengthAndCoding},
	{"9112 6.1", "TE in HTTP/1.0", "POST / HTTP/1.0\r\nH\r\nTransfer-Encoding: chunked\r\n\r\n", http1.ErrCodingOld},
	// Transfer-Encoding in disguise.
	{"9112 6.1", "TE twice", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", http1.ErrCoding},
	{"9112 6.1", "TE twice, second unknown", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n", http1.ErrCoding},
	{"9112 6.1", "TE twice, first unknown", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n", http1.ErrCodingUnknown},
	{"9112 6.1", "TE xchunked", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: xchunked\r\n\r\n", http1.ErrCodingUnknown},
	{"9112 6.1", "TE identity", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: identity\r\n\r\n", http1.ErrCodingUnknown},
	{"9112 6.3", "TE chunked, identity", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: chunked, identity\r\n\r\n", http1.ErrCoding},
	{"9112 6.1", "TE gzip, chunked", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", http1.ErrCodingUnknown},
	{"9112 6.1", "TE chunked, chunked", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", http1.ErrCodingUnknown},
	{"9112 6.1", "TE empty", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding:\r\n\r\n", http1.ErrCoding},
	{"9112 6.1", "TE quoted", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: \"chunked\"\r\n\r\n", http1.ErrCoding},
	{"9112 6.1", "TE with parameter", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: chunked;q=1\r\n\r\n", http1.ErrCoding},
	{"9112 6.1", "TE trailing comma", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: chunked,\r\n\r\n", http1.ErrCoding},
	{"9110 5.5", "TE after vertical tab", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: \x0bchunked\r\n\r\n", http1.ErrFieldValue},
	{"9110 5.5", "TE after NUL", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: \x00chunked\r\n\r\n", http1.ErrFieldValue},
	{"9112 5.1", "space before colon", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding : chunked\r\n\r\n", http1.ErrFieldName},
	{"9112 5.1", "tab before colon", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding\t: chunked\r\n\r\n", http1.ErrFieldName},
	{"9112 5.1", "CL with space before colon", "POST / HTTP/1.1\r\nH\r\nContent-Length : 3\r\n\r\n", http1.ErrFieldName},
	{"9112 5.2", "TE folded", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding:\r\n chunked\r\n\r\n", http1.ErrCoding},
	{"9112 5.2", "folded line", "GET / HTTP/1.1\r\nH\r\nA: b\r\n c\r\n\r\n", http1.ErrFold},
	{"9112 5.2", "fold with tab", "GET / HTTP/1.1\r\nH\r\nA: b\r\n\tTransfer-Encoding: chunked\r\n\r\n", http1.ErrFold},
	{"9112 2.2", "space before the first field", "GET / HTTP/1.1\r\n Host: h\r\n\r\n", http1.ErrFold},
	{"9110 5.1", "control octet in a name", "GET / HTTP/1.1\r\nH\r\nTransfer\x01-Encoding: chunked\r\n\r\n", http1.ErrFieldName},
	{"9110 5.1", "high octet in a name", "GET / HTTP/1.1\r\nH\r\nTransf\xe9r-Encoding: chunked\r\n\r\n", http1.ErrFieldName},
	{"9112 5", "no name", "GET / HTTP/1.1\r\nH\r\n: b\r\n\r\n", http1.ErrFieldName},
	{"9112 5", "no colon", "GET / HTTP/1.1\r\nH\r\nTransfer-Encoding\r\n\r\n", http1.ErrFieldName},
	// Content-Length in disguise.
	{"9112 6.3", "two lengths", "POST / HTTP/1.1\r\nH\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", http1.ErrLengthDuplicate},
	{"9112 6.3", "two equal lengths", "POST / HTTP/1.1\r\nH\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", http1.ErrLengthDuplicate},
	{"9112 6.3", "length list", "POST / HTTP/1.1\r\nH\r\nContent-Length: 3, 3\r\n\r\n", http1.ErrLength},
	{"9110 8.6", "plus sign", "POST / HTTP/1.1\r\nH\r\nContent-Length: +3\r\n\r\n", http1.ErrLength},
	{"9110 8.6", "minus sign", "POST / HTTP/1.1\r\nH\r\nContent-Length: -3\r\n\r\n", http1.ErrLength},
	{"9110 8.6", "hex length", "POST / HTTP/1.1\r\nH\r\nContent-Length: 0x3\r\n\r\n", http1.ErrLength},
	{"9110 8.6", "fraction", "POST / HTTP/1.1\r\nH\r\nContent-Length: 3.0\r\n\r\n", http1.ErrLength},
	{"9110 8.6", "empty length", "POST / HTTP/1.1\r\nH\r\nContent-Length:\r\n\r\n", http1.ErrLength},
	{"9110 8.6", "space inside", "POST / HTTP/1.1\r\nH\r\nContent-Length: 1 2\r\n\r\n", http1.ErrLength},
	{"9110 8.6", "overflow", "POST / HTTP/1.1\r\nH\r\nContent-Length: 18446744073709551617\r\n\r\n", http1.ErrLength},
	{"9110 8.6", "other digits", "POST / HTTP/1.1\r\nH\r\nContent-Length: \u0663\r\n\r\n", http1.ErrLength},
	// Line ends.
	{"9112 2.2", "bare LF after the request line", "GET / HTTP/1.1\nHost: h\r\n\r\n", http1.ErrBareLF},
	{"9112 2.2", "bare LF after a field", "GET / HTTP/1.1\r\nH\r\nA: b\nTransfer-Encoding: chunked\r\n\r\n", http1.ErrBareLF},
	{"9112 2.2", "bare LF ends the head", "GET / HTTP/1.1\r\nH\r\nA: b\n\nGET /evil HTTP/1.1\r\nHost: h\r\n\r\n", http1.ErrBareLF},
	{"9112 2.2", "bare CR in a value", "GET / HTTP/1.1\r\nH\r\nA: b\rTransfer-Encoding: chunked\r\n\r\n", http1.ErrBareCR},
	{"9112 2.2", "bare CR in the request line", "GET /\r HTTP/1.1\r\nHost: h\r\n\r\n", http1.ErrTarget},
	{"9112 2.2", "CR CR LF", "GET / HTTP/1.1\r\nH\r\nA: b\r\r\n\r\n", http1.ErrBareCR},
	{"9110 5.5", "NUL in a value", "GET / HTTP/1.1\r\nH\r\nA: \x00\r\n\r\n", http1.ErrFieldValue},
	{"9110 5.5", "DEL in a value", "GET / HTTP/1.1\r\nH\r\nA: \x7f\r\n\r\n", http1.ErrFieldValue},
	// Request line.
	{"9112 3", "two spaces", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", http1.ErrTarget},
	{"9112 3", "tab for space", "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n", http1.ErrMethod},
	{"9112 3", "space at the end", "GET / HTTP/1.1 \r\nHost: h\r\n\r\n", http1.ErrRequestLine},
	{"9112 3", "HTTP/0.9", "GET /\r\nHost: h\r\n\r\n", http1.ErrRequestLine},
	{"9112 3.2", "space in the target", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", http1.ErrRequestLine},
	{"9112 2.3", "small letters in the version", "GET / http/1.1\r\nHost: h\r\n\r\n", http1.ErrRequestLine},
	{"9112 2.3", "HTTP/1.10", "GET / HTTP/1.10\r\nHost: h\r\n\r\n", http1.ErrRequestLine},
	{"9112 2.3", "HTTP/2.0", "GET / HTTP/2.0\r\nHost: h\r\n\r\n", http1.ErrVersion},
	{"9110 9.1", "method with separators", "G{E}T / HTTP/1.1\r\nHost: h\r\n\r\n", http1.ErrMethod},
	{"9112 3.2", "fragment", "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", http1.ErrTarget},
	{"9112 3.2", "relative target", "GET a/b HTTP/1.1\r\nHost: h\r\n\r\n", http1.ErrTarget},
	{"9112 3.2.4", "asterisk for GET", "GET * HTTP/1.1\r\nHost: h\r\n\r\n", http1.ErrTarget},
	{"9112 3.2.2", "userinfo in absolute-form", "GET http://a@b/ HTTP/1.1\r\nHost: b\r\n\r\n", http1.ErrTarget},
	{"9112 3.2.2", "absolute-form without authority", "GET http:///x HTTP/1.1\r\nHost: h\r\n\r\n", http1.ErrTarget},
	{"9112 3.2.2", "other scheme", "GET file://h/etc HTTP/1.1\r\nHost: h\r\n\r\n", http1.ErrTarget},
	// Host.
	{"9112 3.2", "no Host", "GET / HTTP/1.1\r\nA: b\r\n\r\n", http1.ErrHostMissing},
	{"9112 3.2", "two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", http1.ErrHostDuplicate},
	{"9112 3.2", "two equal Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", http1.ErrHostDuplicate},
	{"9112 3.2", "Host list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", http1.ErrHost},
	{"9112 3.2", "Host with path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", http1.ErrHost},
	{"9112 3.2", "Host with userinfo", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", http1.ErrHost},
	{"9112 3.2", "Host with letters for a port", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", http1.ErrHost},
	{"9112 3.2", "Host with half a literal", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", http1.ErrHost},
	{"9112 3.2", "absolute-form and two Hosts", "GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", http1.ErrHostDuplicate},
	{"9110 7.6.1", "Connection with a forbidden octet", "GET / HTTP/1.1\r\nH\r\nConnection: a b\r\n\r\n", http1.ErrConnection},
	// What looks odd and has only one reading.
	{"9112 2.2", "empty line first", "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", nil},
	{"9112 2.2", "two empty lines first", "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", http1.ErrRequestLine},
	{"9112 6.1", "coding in capitals", "POST / HTTP/1.1\r\nH\r\nTRANSFER-ENCODING: CHUNKED\r\n\r\n", nil},
	{"9112 5.1", "white space round a value", "POST / HTTP/1.1\r\nH\r\nContent-Length: \t3 \r\n\r\n", nil},
	{"9112 3.2", "empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", nil},
	{"9110 5.1", "name with odd token octets", "GET / HTTP/1.1\r\nH\r\nx_y!#$%&'*+-.^`|~: 1\r\n\r\n", nil},
	{"9110 7.6.1", "Connection names a framing field", "POST / HTTP/1.1\r\nH\r\nConnection: Content-Length, Host\r\nContent-Length: 3\r\n\r\n", nil},
	{"9112 3.2.2", "absolute-form against Host", "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", nil},
}

func TestSmuggling(t *testing.T) {
	for _, tc := range smuggling {
		t.Run(tc.name, func(t *testing.T) {
			head := strings.Replace(tc.head, "\nH\r\n", "\nHost: h\r\n", 1)
			_, _, err := parseRequest(head)
			if !errors.Is(err, tc.want) {
				t.Errorf("RFC %s: got %v, want %v for %q", tc.rfc, err, tc.want, head)
			}
		})
	}
}

func TestConnectionCannotRemoveFraming(t *testing.T) {
	req, _, err := parseRequest("POST / HTTP/1.1\r\nHost: h\r\nConnection: Content-Length, Host, A\r\nContent-Length: 3\r\nA: 1\r\nB: 2\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	got := string(http1.AppendRequest(nil, req))
	if want := "POST / HTTP/1.1\r\nHost: h\r\nB: 2\r\nContent-Length: 3\r\n\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestChunkedSmuggling(t *testing.T) {
	for _, tc := range []struct {
		rfc, name, body, data string
		want                  error
	}{
		{"9112 7.1", "usual", "3\r\nabc\r\n0\r\n\r\n", "abc", nil},
		{"9112 7.1", "capitals and zeros", "00A\r\n0123456789\r\n0\r\n\r\n", "0123456789", nil},
		{"9112 7.1.1", "extension", "3;a=\"b\"\r\nabc\r\n0;x\r\n\r\n", "abc", nil},
		{"9112 7.1.2", "trailers", "0\r\nA: b\r\n\r\n", "", nil},
		{"9112 7.1", "size with 0x", "0x3\r\nabc\r\n0\r\n\r\n", "", http1.ErrChunkSize},
		{"9112 7.1", "size with sign", "+3\r\nabc\r\n0\r\n\r\n", "", http1.ErrChunkSize},
		{"9112 7.1", "negative size", "-3\r\nabc\r\n0\r\n\r\n", "", http1.ErrChunkSize},
		{"9112 7.1", "space before the size", " 3\r\nabc\r\n0\r\n\r\n", "", http1.ErrChunkSize},
		{"9112 7.1.1", "space after the size", "3 \r\nabc\r\n0\r\n\r\n", "", http1.ErrChunkSize},
		{"9112 7.1.1", "space before an extension", "3 ;a\r\nabc\r\n0\r\n\r\n", "", http1.ErrChunkSize},
		{"9112 7.1", "underscore", "1_0\r\nabc\r\n0\r\n\r\n", "", http1.ErrChunkSize},
		{"9112 7.1", "empty size", "\r\nabc\r\n0\r\n\r\n", "", http1.ErrChunkSize},
		{"9112 7.1", "overflow", "10000000000000003\r\nabc\r\n0\r\n\r\n", "", http1.ErrChunkSize},
		{"9112 7.1", "bare LF after the size", "3\nabc\r\n0\r\n\r\n", "", http1.ErrBareLF},
		{"9112 7.1", "bare LF in an extension", "3;a\nabc\r\n0\r\n\r\n", "", http1.ErrBareLF},
		{"9112 7.1", "bare CR in an extension", "3;a\rb\r\nabc\r\n0\r\n\r\n", "", http1.ErrChunkSize},
		{"9112 7.1.1", "NUL in an extension", "3;\x00\r\nabc\r\n0\r\n\r\n", "", http1.ErrChunkSize},
		{"9112 7.1.1", "endless extension", "3;" + strings.Repeat("a", 300) + "\r\nabc\r\n0\r\n\r\n", "", http1.ErrChunkLine},
		{"9112 7.1", "data longer than its size", "3\r\nabcd\r\n0\r\n\r\n", "abc", http1.ErrChunkEnd},
		{"9112 7.1", "data ends in bare LF", "3\r\nabc\n0\r\n\r\n", "abc", http1.ErrChunkEnd},
		{"9112 7.1", "data ends in CR and no LF", "3\r\nabc\rx0\r\n\r\n", "abc", http1.ErrChunkEnd},
		{"9112 7.1.2", "folded trailer", "0\r\nA: b\r\n c\r\n\r\n", "", http1.ErrFold},
		{"9112 7.1.2", "trailer without colon", "0\r\nGET / HTTP/1.1\r\n\r\n", "", http1.ErrFieldName},
		{"9112 7.1.2", "bare LF in trailers", "0\r\nA: b\n\r\n", "", http1.ErrBareLF},
		{"9112 7.1.2", "endless trailers", "0\r\n" + strings.Repeat("A: b\r\n", 1000), "", http1.ErrTrailersLarge},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, step := range []int{len(tc.body), 1, 7} {
				data, rest, c, err := decode([]byte(tc.body), step)
				if !errors.Is(err, tc.want) || err == nil && (data != tc.data || !c.Done() || rest != "") {
					t.Errorf("RFC %s, %d octets at a time: data %q, left %q, done %v, error %v; want %q, %v",
						tc.rfc, step, data, rest, c.Done(), err, tc.data, tc.want)
				}
			}
		})
	}
}

// decode feeds a body to a decoder, step octets at a time.
func decode(body []byte, step int) (data, rest string, c *http1.Chunks, err error) {
	c = new(http1.Chunks)
	var window, out []byte
	for len(body) > 0 && !c.Done() {
		n := min(step, len(body))
		window, body = append(window, body[:n]...), body[n:]
		dst, used, err := c.Decode(nil, window)
		out = append(out, dst...)
		if window = append([]byte(nil), window[used:]...); err != nil {
			return string(out), "", c, err
		}
	}
	return string(out), string(window) + string(body), c, nil
}
