package http1

import (
	"strconv"

	"github.com/leno-mesh/leno/proxy/msg"
)

// AppendRequest writes the head of req as HTTP/1.1 in origin-form, or in authority-form for CONNECT. Connection management is the next hop's own:
// connections are kept unless they carry an upgrade.
func AppendRequest(dst []byte, req *msg.Request) []byte {
	dst = append(dst, req.Method...)
	dst = append(dst, ' ')
	if string(req.Method) == "CONNECT" {
		dst = append(dst, req.Authority...)
	} else {
		dst = append(dst, req.Path...)
		if req.HasQuery {
			dst = append(dst, '?')
			dst = append(dst, req.Query...)
		}
	}
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, req.Authority...)
	dst = append(dst, '\r', '\n')
	dst = appendFields(dst, req.Fields)
	dst = appendBody(dst, req.Body)
	if req.Continue {
		dst = append(dst, "Expect: 100-continue\r\n"...)
	}
	switch {
	case req.Upgrade != nil:
		dst = append(dst, "Connection: Upgrade\r\nUpgrade: "...)
		dst = append(dst, req.Upgrade...)
		dst = append(dst, '\r', '\n')
	case req.Trailers:
		dst = append(dst, "Connection: TE\r\nTE: trailers\r\n"...)
	}
	return append(dst, '\r', '\n')
}

// AppendResponse writes the head of resp as HTTP/1.1, with Connection: close when resp.Close is set. keepAlive
// announces persistence to an HTTP/1.0 client that asked for it.
func AppendResponse(dst []byte, resp *msg.Response, keepAlive bool) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendUint(dst, uint64(resp.Status), 10)
	dst = append(dst, ' ')
	dst = append(dst, resp.Reason...)
	dst = append(dst, '\r', '\n')
	dst = appendFields(dst, resp.Fields)
	dst = appendBody(dst, resp.Body)
	if resp.Announced >= 0 {
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, resp.Announced, 10)
		dst = append(dst, '\r', '\n')
	}
	switch {
	case resp.Status == 101:
		dst = append(dst, "Connection: Upgrade\r\nUpgrade: "...)
		dst = append(dst, resp.Upgrade...)
		dst = append(dst, '\r', '\n')
	case resp.Status < 200:
	case resp.Upgrade != nil: // 426 names what it wants (RFC 9110 section 15.5.22)
		dst = append(dst, "Upgrade: "...)
		dst = append(dst, resp.Upgrade...)
		dst = append(dst, "\r\nConnection: Upgrade"...)
		if resp.Close {
			dst = append(dst, ", close"...)
		}
		dst = append(dst, '\r', '\n')
	case resp.Close:
		dst = append(dst, "Connection: close\r\n"...)
	case keepAlive:
		dst = append(dst, "Connection: keep-alive\r\n"...)
	}
	return append(dst, '\r', '\n')
}

func appendFields(dst []byte, fields msg.Fields) []byte {
	for i := range fields {
		dst = append(dst, fields[i].Name...)
		dst = append(dst, ':', ' ')
		dst = append(dst, fields[i].Value...)
		dst = append(dst, '\r', '\n')
	}
	return dst
}

func appendBody(dst []byte, body msg.Body) []byte {
	switch body.Kind {
	case msg.Sized:
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, body.Length, 10)
		return append(dst, '\r', '\n')
	case msg.Chunked:
		return append(dst, "Transfer-Encoding: chunked\r\n"...)
	default: // no body, or one that ends with the connection
		return dst
	}
}

// AppendChunk writes data as one chunk; nothing for no data, since an empty chunk would end the body.
func AppendChunk(dst, data []byte) []byte {
	if len(data) == 0 {
		return dst
	}
	dst = strconv.AppendUint(dst, uint64(len(data)), 16)
	dst = append(dst, '\r', '\n')
	dst = append(dst, data...)
	return append(dst, '\r', '\n')
}

// AppendLastChunk ends a chunked body.
func AppendLastChunk(dst []byte, trailers msg.Fields) []byte {
	dst = append(dst, "0\r\n"...)
	dst = appendFields(dst, trailers)
	return append(dst, '\r', '\n')
}
