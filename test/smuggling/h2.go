package smuggling

// Field is a field line as it stands in an HTTP/2 field section, pseudo-header fields included.
type Field struct{ Name, Value string }

// Stream is a request as a client may send it on an HTTP/2 stream, to a proxy whose backend speaks HTTP/1.1: what the
// version before would read as line ends, framing or another target must not get there (RFC 9113 section 10.3).
type Stream struct {
	RFC    string // section, "9113 8.2.1"
	Name   string
	Fields []Field // the HEADERS frame, in order
	// Body is sent in one DATA frame; empty: END_STREAM stands in HEADERS, or in the trailers.
	Body     string
	Trailers []Field
	// Reaches is what the backend gets. Nil: the request is malformed (RFC 9113 section 8.1.1), so that its stream ends
	// with RST_STREAM PROTOCOL_ERROR or the answer 400, the connection goes on, and the backend sees no whole request.
	Reaches *Request
}

// pseudo are the pseudo-header fields of a request, and fields behind them.
func pseudo(method, authority, path string, fields ...Field) []Field {
	return append([]Field{{":method", method}, {":scheme", "http"}, {":authority", authority}, {":path", path}}, fields...)
}

// Downgrades is the table of requests that were seen to turn into others on the way from HTTP/2 to HTTP/1.1.
func Downgrades() []Stream {
	return append(append(append([]Stream(nil), streamValues...), streamPseudo...), streamFraming...)
}

// Octets that HTTP/1.1 reads as something else.
var streamValues = []Stream{
	{RFC: "9113 8.2.1", Name: "CR LF in a value", Fields: pseudo("GET", "h", "/", Field{"a", "b\r\nTransfer-Encoding: chunked"})},
	{RFC: "9113 8.2.1", Name: "LF in a value", Fields: pseudo("GET", "h", "/", Field{"a", "b\nContent-Length: 31"})},
	{RFC: "9113 8.2.1", Name: "CR in a value", Fields: pseudo("GET", "h", "/", Field{"a", "b\rc"})},
	{RFC: "9113 8.2.1", Name: "NUL in a value", Fields: pseudo("GET", "h", "/", Field{"a", "b\x00c"})},
	{RFC: "9113 8.2.1", Name: "whole request in a value", Fields: pseudo("GET", "h", "/", Field{"a", "b\r\n\r\n" + hidden})},
	{RFC: "9113 8.2.1", Name: "value that starts with a space", Fields: pseudo("GET", "h", "/", Field{"a", " b"})},
	{RFC: "9113 8.2.1", Name: "value that ends in a tab", Fields: pseudo("GET", "h", "/", Field{"a", "b\t"})},
	{RFC: "9113 8.2.1", Name: "colon in a name", Fields: pseudo("GET", "h", "/", Field{"transfer-encoding: chunked\r\nx", "b"})},
	{RFC: "9113 8.2.1", Name: "colon only in a name", Fields: pseudo("GET", "h", "/", Field{"a:b", "c"})},
	{RFC: "9113 8.2.1", Name: "space in a name", Fields: pseudo("GET", "h", "/", Field{"a b", "c"})},
	{RFC: "9113 8.2.1", Name: "capital in a name", Fields: pseudo("GET", "h", "/", Field{"Transfer-Encoding", "chunked"})},
	{RFC: "9113 8.2.1", Name: "control octet in a name", Fields: pseudo("GET", "h", "/", Field{"a\x01", "b"})},
	{RFC: "9113 8.2.1", Name: "high octet in a name", Fields: pseudo("GET", "h", "/", Field{"a\xe9", "b"})},
	{RFC: "9113 8.2.1", Name: "empty name", Fields: pseudo("GET", "h", "/", Field{"", "b"})},
}

// Pseudo-header fields.
var streamPseudo = []Stream{
	{RFC: "9113 8.3.1", Name: "CR LF in :path", Fields: pseudo("GET", "h", "/ HTTP/1.1\r\nHost: h\r\n\r\nGET /evil")},
	{RFC: "9113 8.3.1", Name: "space in :path", Fields: pseudo("GET", "h", "/evil HTTP/1.1")},
	{RFC: "9113 8.3.1", Name: "empty :path", Fields: pseudo("GET", "h", "")},
	{RFC: "9113 8.3.1", Name: ":path without slash", Fields: pseudo("GET", "h", "evil")},
	{RFC: "9113 8.3.1", Name: "absolute-form in :path", Fields: pseudo("GET", "h", "http://evil/")},
	{RFC: "9113 8.3.1", Name: "fragment in :path", Fields: pseudo("GET", "h", "/a#b")},
	{RFC: "9113 8.3.1", Name: "CR LF in :method", Fields: pseudo("GET /evil HTTP/1.1\r\nHost: h\r\n\r\nGET", "h", "/")},
	{RFC: "9113 8.3.1", Name: "space in :method", Fields: pseudo("GET /evil", "h", "/")},
	{RFC: "9113 8.3.1", Name: "empty :method", Fields: pseudo("", "h", "/")},
	{RFC: "9113 8.3.1", Name: "CR LF in :authority", Fields: pseudo("GET", "h\r\nContent-Length: 31", "/")},
	{RFC: "9113 8.3.1", Name: "userinfo in :authority", Fields: pseudo("GET", "a@h", "/")},
	{RFC: "9113 8.3.1", Name: "path in :authority", Fields: pseudo("GET", "h/evil", "/")},
	{RFC: "9113 8.3.1", Name: "CR LF in :scheme", Fields: []Field{{":method", "GET"}, {":scheme", "http\r\nA: b"}, {":authority", "h"}, {":path", "/"}}},
	{RFC: "9113 8.3.1", Name: "two :path", Fields: pseudo("GET", "h", "/", Field{":path", "/evil"})},
	{RFC: "9113 8.3.1", Name: "two :method", Fields: pseudo("GET", "h", "/", Field{":method", "POST"})},
	{RFC: "9113 8.3.1", Name: "two :authority", Fields: pseudo("GET", "h", "/", Field{":authority", "evil"})},
	{RFC: "9113 8.3.1", Name: "no :method", Fields: []Field{{":scheme", "http"}, {":authority", "h"}, {":path", "/"}}},
	{RFC: "9113 8.3.1", Name: "no :path", Fields: []Field{{":method", "GET"}, {":scheme", "http"}, {":authority", "h"}}},
	{RFC: "9113 8.3", Name: "unknown pseudo-header", Fields: pseudo("GET", "h", "/", Field{":evil", "1"})},
	{RFC: "9113 8.3", Name: "response pseudo-header", Fields: pseudo("GET", "h", "/", Field{":status", "200"})},
	{RFC: "9113 8.3", Name: "pseudo-header behind a field", Fields: []Field{{":method", "GET"}, {":scheme", "http"}, {"a", "b"}, {":authority", "h"}, {":path", "/"}}},
	{RFC: "9113 8.3", Name: "pseudo-header in the trailers", Fields: pseudo("POST", "h", "/"), Body: "x", Trailers: []Field{{":path", "/evil"}}},
	{RFC: "9113 8.3.1", Name: "Host against :authority", Fields: pseudo("GET", "h", "/", Field{"host", "evil"})},
	{RFC: "9113 8.3.1", Name: "two Hosts and no :authority", Fields: []Field{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {"host", "h"}, {"host", "evil"}}},
	{RFC: "9113 8.3.1", Name: "Host that says the same", Fields: pseudo("GET", "h", "/", Field{"host", "h"}), Reaches: &Request{"GET", "/", "h", ""}},
	{RFC: "9113 8.3.1", Name: "Host for :authority", Fields: []Field{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {"host", "h"}}, Reaches: &Request{"GET", "/", "h", ""}},
}

// Lengths and fields of one connection.
var streamFraming = []Stream{
	{RFC: "9113 8.1.1", Name: "H2.CL: length shorter than the body", Fields: pseudo("POST", "h", "/", Field{"content-length", "0"}), Body: hidden},
	{RFC: "9113 8.1.1", Name: "length longer than the body", Fields: pseudo("POST", "h", "/", Field{"content-length", "32"}), Body: hidden},
	{RFC: "9113 8.1.1", Name: "length and no body", Fields: pseudo("POST", "h", "/", Field{"content-length", "31"})},
	{RFC: "9113 8.1.1", Name: "two lengths", Fields: pseudo("POST", "h", "/", Field{"content-length", "31"}, Field{"content-length", "0"}), Body: hidden},
	{RFC: "9113 8.1.1", Name: "length list", Fields: pseudo("POST", "h", "/", Field{"content-length", "31, 0"}), Body: hidden},
	{RFC: "9113 8.1.1", Name: "length with a sign", Fields: pseudo("POST", "h", "/", Field{"content-length", "+31"}), Body: hidden},
	{RFC: "9113 8.2.2", Name: "H2.TE: transfer-encoding", Fields: pseudo("POST", "h", "/", Field{"transfer-encoding", "chunked"}), Body: "0\r\n\r\n" + hidden},
	{RFC: "9113 8.2.2", Name: "transfer-encoding in the trailers", Fields: pseudo("POST", "h", "/"), Body: "x", Trailers: []Field{{"transfer-encoding", "chunked"}}},
	{RFC: "9113 8.2.2", Name: "connection", Fields: pseudo("GET", "h", "/", Field{"connection", "close"})},
	{RFC: "9113 8.2.2", Name: "keep-alive", Fields: pseudo("GET", "h", "/", Field{"keep-alive", "timeout=5"})},
	{RFC: "9113 8.2.2", Name: "proxy-connection", Fields: pseudo("GET", "h", "/", Field{"proxy-connection", "close"})},
	{RFC: "9113 8.2.2", Name: "upgrade", Fields: pseudo("GET", "h", "/", Field{"upgrade", "websocket"})},
	{RFC: "9113 8.2.2", Name: "te other than trailers", Fields: pseudo("GET", "h", "/", Field{"te", "chunked"})},
	{RFC: "9113 8.2.2", Name: "te trailers", Fields: pseudo("GET", "h", "/", Field{"te", "trailers"}), Reaches: &Request{"GET", "/", "h", ""}},
	{RFC: "9113 8.1.1", Name: "length that is right", Fields: pseudo("POST", "h", "/", Field{"content-length", "31"}), Body: hidden, Reaches: &Request{"POST", "/", "h", hidden}},
	{RFC: "9113 8.1", Name: "request for a body without length", Fields: pseudo("POST", "h", "/"), Body: hidden, Reaches: &Request{"POST", "/", "h", hidden}},
	{RFC: "9113 8.1", Name: "request for a body behind GET", Fields: pseudo("GET", "h", "/"), Body: hidden, Reaches: &Request{"GET", "/", "h", hidden}},
	{RFC: "9113 8.1", Name: "trailers that would frame", Fields: pseudo("POST", "h", "/"), Body: hidden, Trailers: []Field{{"content-length", "0"}, {"host", "evil"}}, Reaches: &Request{"POST", "/", "h", hidden}},
}
