package externalauth

import (
	"net/netip"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/leno-mesh/leno/proxy/msg"
)

// What follows are messages of Envoy's ext_authz protocol by field number, without generated code (docs/decisions/0001).

// appendCheck writes an envoy.service.auth.v3.CheckRequest.
func (p *Policy) appendCheck(dst []byte, r *Request) []byte {
	var request []byte
	var now []byte
	now = appendNumber(now, 1, uint64(r.Time.Unix()))
	now = appendNumber(now, 2, uint64(r.Time.Nanosecond()))
	request = appendBytes(request, 1, now)
	request = appendBytes(request, 2, p.httpRequest(r))
	var attributes []byte
	attributes = appendBytes(attributes, 1, peer(r.Source))
	attributes = appendBytes(attributes, 2, peer(r.Destination))
	attributes = appendBytes(attributes, 4, request)
	return appendBytes(dst, 1, attributes)
}

// httpRequest is an AttributeContext.HttpRequest. Where all headers are told, so are those that HTTP/2 has for the request line.
func (p *Policy) httpRequest(r *Request) []byte {
	h := r.Head
	path := string(h.Path)
	if h.HasQuery {
		path += "?" + string(h.Query)
	}
	var size int64
	headers := p.told(h.Fields)
	switch h.Body.Kind {
	case msg.NoBody:
		size = 0
	case msg.Sized:
		size = h.Body.Length
		if p.tell == nil || p.tell["content-length"] {
			headers = append(headers, text{"content-length", strconv.FormatInt(size, 10)})
		}
	case msg.Chunked, msg.UntilClose:
		size = -1 // not known
	}
	if p.tell == nil {
		headers = append(headers, text{":method", string(h.Method)}, text{":path", path}, text{":authority", string(h.Authority)}, text{":scheme", r.Scheme})
	}
	var b []byte
	b = appendText(b, 2, string(h.Method))
	for _, t := range headers {
		b = appendBytes(b, 3, appendText(appendText(nil, 1, t.name), 2, t.value))
	}
	b = appendText(b, 4, path)
	b = appendText(b, 5, string(h.Authority))
	b = appendText(b, 6, r.Scheme)
	b = appendNumber(b, 9, uint64(size))
	b = appendText(b, 10, r.Protocol)
	if len(r.Body) > 0 {
		b = appendBytes(b, 12, r.Body)
	}
	return b
}

// peer is an AttributeContext.Peer with nothing but an address; empty for none.
func peer(a netip.AddrPort) []byte {
	if !a.IsValid() {
		return nil
	}
	socket := appendNumber(appendText(nil, 2, a.Addr().Unmap().String()), 3, uint64(a.Port()))
	return appendBytes(nil, 1, appendBytes(nil, 1, socket))
}

func appendBytes(dst []byte, number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(dst, number, protowire.BytesType), value)
}

// appendText writes a string, which is UTF-8 in protobuf; header values need not be.
func appendText(dst []byte, number protowire.Number, value string) []byte {
	return protowire.AppendString(protowire.AppendTag(dst, number, protowire.BytesType), strings.ToValidUTF8(value, "!"))
}

func appendNumber(dst []byte, number protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(dst, number, protowire.VarintType), value)
}
