package smuggling

// Line ends and octets that some readers stop at.
var lines = []Case{
	{RFC: "9112 2.2", Name: "bare LF behind the request line", Raw: "GET / HTTP/1.1\nHost: h\r\n\r\n" + hidden, Status: 400, Says: "without CR"},
	{RFC: "9112 2.2", Name: "bare LF hides a field", Raw: post("A: b\nContent-Length: 31\r\n", hidden), Status: 400, Says: "without CR"},
	{RFC: "9112 2.2", Name: "bare LF ends the head", Raw: get("A: b\n\n", hidden), Status: 400, Says: "without CR"},
	{RFC: "9112 2.2", Name: "bare LFs everywhere", Raw: "GET / HTTP/1.1\nHost: h\n\n" + hidden, Status: 400, Says: "without CR"},
	{RFC: "9112 2.2", Name: "LF CR for CR LF", Raw: "GET / HTTP/1.1\n\rHost: h\n\r\n\r\r\n\r\n" + hidden, Status: 400, Says: "without CR"},
	{RFC: "9112 2.2", Name: "bare CR hides a field", Raw: post("A: b\rContent-Length: 31\r\n", hidden), Status: 400, Says: "CR without LF"},
	{RFC: "9112 2.2", Name: "bare CR in the request line", Raw: "GET /\r HTTP/1.1\r\nHost: h\r\n\r\n" + hidden, Status: 400, Says: "request target"},
	{RFC: "9112 2.2", Name: "CR CR LF", Raw: get("A: b\r\r\n", hidden), Status: 400, Says: "CR without LF"},
	{RFC: "9112 2.2", Name: "CR LF CR before the empty line", Raw: get("A: b\r\n\r", "X: y\r\n\r\n"+hidden), Status: 400, Says: "field name"},
	{RFC: "9110 5.5", Name: "NUL hides a field", Raw: post("A: b\x00\r\nContent-Length: 0\r\n", hidden), Status: 400, Says: "forbidden octet"},
	{RFC: "9110 5.5", Name: "DEL in a value", Raw: get("A: \x7f\r\n", hidden), Status: 400, Says: "forbidden octet"},
	{RFC: "9110 5.5", Name: "escape in a value", Raw: get("A: \x1b[2J\r\n", hidden), Status: 400, Says: "forbidden octet"},
	{RFC: "9112 5.2", Name: "folded line", Raw: get("A: b\r\n c\r\n", hidden), Status: 400, Says: "folded"},
	{RFC: "9112 5.2", Name: "folded line with a tab", Raw: post("A: b\r\n\tTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+hidden), Status: 400, Says: "folded"},
	{RFC: "9112 5.2", Name: "fold that is only white space", Raw: get("A: b\r\n \r\n", hidden), Status: 400, Says: "folded"},
	{RFC: "9112 2.2", Name: "space before the first field", Raw: "GET / HTTP/1.1\r\n Host: h\r\n\r\n" + hidden, Status: 400, Says: "folded"},
	{RFC: "9112 2.2", Name: "two empty lines before the request", Raw: "\r\n\r\n" + get("", ""), Status: 400, Says: "request line"},
	{RFC: "9112 2.2", Name: "empty line before the request", Raw: "\r\n" + get("", ""), Reaches: got("")},
}

// Field names.
var names = []Case{
	{RFC: "9112 5.1", Name: "space before the colon", Raw: post("Transfer-Encoding : chunked\r\nContent-Length: 3\r\n", "0\r\n\r\n"+hidden), Status: 400, Says: "field name"},
	{RFC: "9112 5.1", Name: "tab before the colon", Raw: post("Transfer-Encoding\t: chunked\r\n", "0\r\n\r\n"+hidden), Status: 400, Says: "field name"},
	{RFC: "9110 5.1", Name: "control octet in a name", Raw: post("Transfer\x01-Encoding: chunked\r\n", "0\r\n\r\n"+hidden), Status: 400, Says: "field name"},
	{RFC: "9110 5.1", Name: "NUL in a name", Raw: post("Content-Length\x00: 31\r\n", hidden), Status: 400, Says: "field name"},
	{RFC: "9110 5.1", Name: "high octet in a name", Raw: post("Transf\xe9r-Encoding: chunked\r\n", "0\r\n\r\n"+hidden), Status: 400, Says: "field name"},
	{RFC: "9110 5.1", Name: "space in a name", Raw: post("Content Length: 31\r\n", hidden), Status: 400, Says: "field name"},
	{RFC: "9112 5", Name: "no name", Raw: get(": b\r\n", hidden), Status: 400, Says: "field name"},
	{RFC: "9112 5", Name: "no colon", Raw: post("Transfer-Encoding\r\n", hidden), Status: 400, Says: "field name"},
	{RFC: "9110 5.1", Name: "pseudo-header", Raw: get(":path: /evil\r\n", hidden), Status: 400, Says: "field name"},
	{RFC: "9110 5.1", Name: "name with all odd token octets", Raw: get("x_y!#$%&'*+-.^`|~: 1\r\n", ""), Reaches: got("")},
}

// Request line: method, target, version.
var targets = []Case{
	{RFC: "9112 3", Name: "two spaces", Raw: "GET  / HTTP/1.1\r\nHost: h\r\n\r\n" + hidden, Status: 400, Says: "request target"},
	{RFC: "9112 3", Name: "tab for a space", Raw: "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n" + hidden, Status: 400, Says: "method"},
	{RFC: "9112 3", Name: "vertical tab for a space", Raw: "GET /\x0bHTTP/1.1\r\nHost: h\r\n\r\n" + hidden, Status: 400, Says: "request line"},
	{RFC: "9112 3", Name: "space before the method", Raw: " GET / HTTP/1.1\r\nHost: h\r\n\r\n" + hidden, Status: 400, Says: "method"},
	{RFC: "9112 3", Name: "space behind the version", Raw: "GET / HTTP/1.1 \r\nHost: h\r\n\r\n" + hidden, Status: 400, Says: "request line"},
	{RFC: "9112 3", Name: "two requests in one line", Raw: "GET / HTTP/1.1 GET /evil HTTP/1.1\r\nHost: h\r\n\r\n", Status: 400, Says: "request line"},
	{RFC: "9112 3", Name: "HTTP/0.9", Raw: "GET /\r\n\r\n" + hidden, Status: 400, Says: "request line"},
	{RFC: "9112 3", Name: "HTTP/0.9 with fields", Raw: "GET /\r\nHost: h\r\n\r\n" + hidden, Status: 400, Says: "request line"},
	{RFC: "9112 3.2", Name: "space in the target", Raw: "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n" + hidden, Status: 400, Says: "request line"},
	{RFC: "9112 3.2", Name: "NUL in the target", Raw: "GET /\x00 HTTP/1.1\r\nHost: h\r\n\r\n" + hidden, Status: 400, Says: "request target"},
	{RFC: "9112 2.3", Name: "small letters in the version", Raw: "GET / http/1.1\r\nHost: h\r\n\r\n" + hidden, Status: 400, Says: "request line"},
	{RFC: "9112 2.3", Name: "HTTP/1.10", Raw: "GET / HTTP/1.10\r\nHost: h\r\n\r\n" + hidden, Status: 400, Says: "request line"},
	{RFC: "9112 2.3", Name: "HTTP/01.1", Raw: "GET / HTTP/01.1\r\nHost: h\r\n\r\n" + hidden, Status: 400, Says: "request line"},
	{RFC: "9112 2.3", Name: "HTTP/1", Raw: "GET / HTTP/1\r\nHost: h\r\n\r\n" + hidden, Status: 400, Says: "request line"},
	{RFC: "9112 2.3", Name: "HTTP/1.2", Raw: "GET / HTTP/1.2\r\nHost: h\r\n\r\n" + hidden, Status: 505, Says: "HTTP/1.1"},
	{RFC: "9112 2.3", Name: "HTTP/0.9 in so many words", Raw: "GET / HTTP/0.9\r\nHost: h\r\n\r\n" + hidden, Status: 505, Says: "HTTP/1.1"},
	{RFC: "9112 2.3", Name: "HTTP/2.0", Raw: "GET / HTTP/2.0\r\nHost: h\r\n\r\n" + hidden, Status: 505, Says: "HTTP/1.1"},
	{RFC: "9113 3.4", Name: "HTTP/2 preface behind a request", Raw: get("", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Reaches: got(""), Status: 505, Says: "HTTP/1.1"},
	{RFC: "9110 9.1", Name: "method with separators", Raw: "G{E}T / HTTP/1.1\r\nHost: h\r\n\r\n" + hidden, Status: 400, Says: "method"},
	{RFC: "9110 9.1", Name: "methods are case-sensitive", Raw: "get / HTTP/1.1\r\nHost: h\r\nContent-Length: 31\r\n\r\n" + hidden, Reaches: []Request{{"get", "/", "h", hidden}}},
	{RFC: "9112 3.2", Name: "fragment", Raw: "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n" + hidden, Status: 400, Says: "request target"},
	{RFC: "9112 3.2", Name: "relative target", Raw: "GET a/b HTTP/1.1\r\nHost: h\r\n\r\n" + hidden, Status: 400, Says: "request target"},
	{RFC: "9112 3.2.4", Name: "asterisk for GET", Raw: "GET * HTTP/1.1\r\nHost: h\r\n\r\n" + hidden, Status: 400, Says: "request target"},
}

// Host against the target and against itself.
var hosts = []Case{
	{RFC: "9112 3.2", Name: "no Host", Raw: "GET / HTTP/1.1\r\nA: b\r\n\r\n" + hidden, Status: 400, Says: "Host header field missing"},
	{RFC: "9112 3.2", Name: "two Hosts", Raw: "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + hidden, Status: 400, Says: "more than one Host"},
	{RFC: "9112 3.2", Name: "two equal Hosts", Raw: "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n" + hidden, Status: 400, Says: "more than one Host"},
	{RFC: "9112 3.2", Name: "Host list", Raw: "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n" + hidden, Status: 400, Says: "malformed Host"},
	{RFC: "9112 3.2", Name: "Host with a path", Raw: "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n" + hidden, Status: 400, Says: "malformed Host"},
	{RFC: "9112 3.2", Name: "Host with userinfo", Raw: "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n" + hidden, Status: 400, Says: "malformed Host"},
	{RFC: "9112 3.2", Name: "Host with letters for a port", Raw: "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n" + hidden, Status: 400, Says: "malformed Host"},
	{RFC: "9112 3.2", Name: "Host with half an IP literal", Raw: "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n" + hidden, Status: 400, Says: "malformed Host"},
	{RFC: "9112 3.2", Name: "absolute-form and two Hosts", Raw: "GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + hidden, Status: 400, Says: "more than one Host"},
	{RFC: "9112 3.2.2", Name: "absolute-form without Host", Raw: "GET http://a/ HTTP/1.1\r\n\r\n" + hidden, Status: 400, Says: "Host header field missing"},
	{RFC: "9112 3.2.2", Name: "userinfo in absolute-form", Raw: "GET http://a@b/ HTTP/1.1\r\nHost: b\r\n\r\n" + hidden, Status: 400, Says: "request target"},
	{RFC: "9112 3.2.2", Name: "absolute-form without authority", Raw: "GET http:///x HTTP/1.1\r\nHost: h\r\n\r\n" + hidden, Status: 400, Says: "request target"},
	{RFC: "9112 3.2.2", Name: "other scheme", Raw: "GET file://h/etc HTTP/1.1\r\nHost: h\r\n\r\n" + hidden, Status: 400, Says: "request target"},
	{RFC: "9112 3.2.2", Name: "backslash in absolute-form", Raw: "GET http://a\\@b/ HTTP/1.1\r\nHost: b\r\n\r\n" + hidden, Status: 400, Says: "request target"},
	{RFC: "9112 3.2.2", Name: "absolute-form against Host", Raw: "GET http://a/p?q HTTP/1.1\r\nHost: b\r\nContent-Length: 31\r\n\r\n" + hidden, Reaches: []Request{{"GET", "/p?q", "a", hidden}}},
	{RFC: "9112 3.2.1", Name: "origin-form that looks like an authority", Raw: "GET //evil/ HTTP/1.1\r\nHost: h\r\n\r\n", Reaches: []Request{{"GET", "//evil/", "h", ""}}},
	{RFC: "9112 3.2", Name: "empty Host", Raw: "GET / HTTP/1.1\r\nHost:\r\n\r\n", Reaches: []Request{{"GET", "/", "", ""}}},
}

// Connection names fields that must not be removed, or says what is hard to read.
var connections = []Case{
	{RFC: "9110 7.6.1", Name: "Connection names Content-Length", Raw: post("Content-Length: 31\r\nConnection: Content-Length\r\n", hidden), Reaches: posted(hidden)},
	{RFC: "9110 7.6.1", Name: "Connection names Transfer-Encoding", Raw: post("Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n", "1f\r\n"+hidden+"\r\n0\r\n\r\n"), Reaches: posted(hidden)},
	{RFC: "9110 7.6.1", Name: "Connection names Host", Raw: get("Connection: Host\r\n", ""), Reaches: got("")},
	{RFC: "9110 7.6.1", Name: "Connection names Connection", Raw: get("Connection: Connection, keep-alive\r\n", ""), Reaches: got("")},
	{RFC: "9110 7.6.1", Name: "Connection with a forbidden octet", Raw: get("Connection: a b\r\n", hidden), Status: 400, Says: "Connection"},
	{RFC: "9110 7.8", Name: "upgrade to h2c", Raw: get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\nContent-Length: 31\r\n", hidden), Reaches: got(hidden)},
	{RFC: "9110 7.8", Name: "upgrade to h2c behind another", Raw: get("Connection: Upgrade\r\nUpgrade: websocket, H2C\r\nContent-Length: 31\r\n", hidden), Reaches: got(hidden)},
	{RFC: "9110 7.8", Name: "upgrade with a body", Raw: get("Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 31\r\n", hidden), Reaches: got(hidden)},
	{RFC: "9110 7.8", Name: "upgrade that nobody asked for", Raw: get("Upgrade: websocket\r\nContent-Length: 31\r\n", hidden), Reaches: got(hidden)},
}

// Requests behind requests. What stands behind a whole request was sent openly, so it arrives as one of its own, or is
// judged as one.
var pipelines = []Case{
	{RFC: "9112 9.3.2", Name: "two requests", Raw: get("", "") + post("Content-Length: 1\r\n", "x"), Reaches: []Request{{"GET", "/", "h", ""}, {"POST", "/", "h", "x"}}},
	{RFC: "9112 6.3", Name: "CL.0: length 0 and then a request", Raw: post("Content-Length: 0\r\n", get("", "")), Reaches: []Request{{"POST", "/", "h", ""}, {"GET", "/", "h", ""}}},
	{RFC: "9112 6.3", Name: "0.CL: no length and then what would be a body", Raw: post("", "x=1"), Reaches: posted("")},
	{RFC: "9112 6.3", Name: "no length and then a broken request", Raw: post("", "x=1\r\n\r\n"), Reaches: posted(""), Status: 400, Says: "malformed"},
	{RFC: "9112 6.3", Name: "attack behind a good request", Raw: get("", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+hidden)), Reaches: got(""), Status: 400, Says: "both Content-Length"},
	{RFC: "9112 6.3", Name: "prefix that swallows the next head", Raw: post("Content-Length: 14\r\n", "GET /evil?x=y&") + get("", ""), Reaches: []Request{{"POST", "/", "h", "GET /evil?x=y&"}, {"GET", "/", "h", ""}}},
	{RFC: "9112 6.3", Name: "half a head behind a request", Raw: get("", "GET /evil HTTP/1.1\r\nHost: h\r\nX-Ignore: "), Reaches: got("")},
	{RFC: "9112 9.6", Name: "request behind Connection: close", Raw: get("Connection: close\r\n", hidden), Reaches: got("")},
	{RFC: "9112 9.3", Name: "request behind HTTP/1.0", Raw: "GET / HTTP/1.0\r\nHost: h\r\n\r\n" + hidden, Reaches: got("")},
	{RFC: "9112 7.1", Name: "request behind the last chunk", Raw: chunked("0\r\n\r\n") + get("", ""), Reaches: []Request{{"POST", "/", "h", ""}, {"GET", "/", "h", ""}}},
	{RFC: "9110 9.3.2", Name: "HEAD with a body", Raw: "HEAD / HTTP/1.1\r\nHost: h\r\nContent-Length: 31\r\n\r\n" + hidden, Reaches: []Request{{"HEAD", "/", "h", hidden}}},
}

// Expect: the body may come late, or not at all.
var expectations = []Case{
	{RFC: "9110 10.1.1", Name: "expectation with a body that does not wait", Raw: post("Expect: 100-continue\r\nContent-Length: 31\r\n", hidden), Reaches: posted(hidden)},
	{RFC: "9110 10.1.1", Name: "expectation with a chunked body that does not wait", Raw: post("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", "1f\r\n"+hidden+"\r\n0\r\n\r\n"), Reaches: posted(hidden)},
	{RFC: "9110 10.1.1", Name: "obfuscated expectation", Raw: post("Expect: y 100-continue\r\nContent-Length: 31\r\n", hidden), Status: 417, Says: "100-continue"},
	{RFC: "9110 10.1.1", Name: "empty expectation", Raw: post("Expect:\r\nContent-Length: 31\r\n", hidden), Status: 417, Says: "100-continue"},
	{RFC: "9110 10.1.1", Name: "other expectation before the known one", Raw: post("Expect: x\r\nExpect: 100-continue\r\nContent-Length: 31\r\n", hidden), Status: 417, Says: "100-continue"},
	{RFC: "9110 10.1.1", Name: "expectation in HTTP/1.0", Raw: "POST / HTTP/1.0\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 31\r\n\r\n" + hidden, Reaches: posted(hidden)},
}
