// Package externalauth asks an authorization server whether a request may pass, and does what the server says (Gateway API
// HTTPExternalAuthFilter, GEP-1494). It makes questions and reads answers; who carries them is somebody else's business.
package externalauth

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/msg"
)

// Policy is a compiled config.ExternalAuth.
type Policy struct {
	Config *config.ExternalAuth
	tell   map[string]bool // names in lower case; nil: all
	copied map[string]bool // nil: all
}

// alwaysTold goes to servers of HTTP whatever the rule says, beside what is no field: method, host, path and length.
const alwaysTold = "authorization"

// Compile prepares c; nil for nil.
func Compile(c *config.ExternalAuth) *Policy {
	if c == nil {
		return nil
	}
	p := &Policy{Config: c, tell: names(c.RequestHeaders), copied: names(c.ResponseHeaders)}
	if !c.GRPC {
		if p.tell == nil {
			p.tell = map[string]bool{}
		}
		p.tell[alwaysTold] = true
	}
	return p
}

func names(list []string) map[string]bool {
	if len(list) == 0 {
		return nil
	}
	set := make(map[string]bool, len(list))
	for _, name := range list {
		set[name] = true
	}
	return set
}

// Request is the request in question.
type Request struct {
	Head *msg.Request
	// Body is all of it where the policy has a MaxBody.
	Body                []byte
	Scheme, Protocol    string // "http", "HTTP/1.1"
	Source, Destination netip.AddrPort
	Time                time.Time
}

// Question is what a server is asked, in memory of its own.
type Question struct {
	Head msg.Request
	Body []byte
}

// Ask makes the question; nil for a request that the protocol cannot ask about: CONNECT over HTTP.
func (p *Policy) Ask(r *Request) *Question {
	switch {
	case p.Config.GRPC:
		return p.askGRPC(r)
	case string(r.Head.Method) == "CONNECT":
		return nil
	}
	q := &Question{Body: bytes.Clone(r.Body)}
	h := &q.Head
	h.Minor, h.Method, h.Path = 1, bytes.Clone(r.Head.Method), p.path(r.Head.Path)
	h.Query, h.HasQuery = bytes.Clone(r.Head.Query), r.Head.HasQuery
	if h.Authority = bytes.Clone(r.Head.Authority); len(h.Authority) == 0 {
		h.Authority = []byte(p.Config.Authority)
	}
	for _, f := range p.told(r.Head.Fields) {
		h.Fields.Add([]byte(f.name), []byte(f.value))
	}
	h.Body = msg.Body{Kind: msg.Sized, Length: int64(len(q.Body))}
	return q
}

// path puts the prefix in front of a path; "*" of OPTIONS is none.
func (p *Policy) path(path []byte) []byte {
	prefix := p.Config.PathPrefix
	if prefix != "" && !bytes.HasPrefix(path, []byte("/")) {
		return []byte(prefix)
	}
	return append([]byte(prefix), path...)
}

// text is a header as a server is told it: all of one name in one.
type text struct{ name, value string }

// told are the headers that the server may know, in the order in which they came.
func (p *Policy) told(fields msg.Fields) []text {
	var out []text
	for i := range fields {
		name, value := strings.ToLower(string(fields[i].Name)), string(fields[i].Value)
		if p.tell != nil && !p.tell[name] {
			continue
		}
		at := slices.IndexFunc(out, func(t text) bool { return t.name == name })
		switch {
		case at < 0:
			out = append(out, text{name, value})
		case name == "cookie": // crumbs of HTTP/2 (RFC 9113 section 8.2.3)
			out[at].value += "; " + value
		default:
			out[at].value += "," + value
		}
	}
	return out
}

const checkPath = "/envoy.service.auth.v3.Authorization/Check"

// frameHead is in front of a message of gRPC: whether it is compressed, and its length (gRPC over HTTP/2, "Length-Prefixed-Message").
const frameHead = 5

func (p *Policy) askGRPC(r *Request) *Question {
	q := &Question{Body: make([]byte, frameHead)}
	q.Body = p.appendCheck(q.Body, r)
	binary.BigEndian.PutUint32(q.Body[1:], uint32(len(q.Body)-frameHead))
	h := &q.Head
	h.Minor, h.Method, h.Path, h.Authority = 1, []byte("POST"), []byte(checkPath), []byte(p.Config.Authority)
	h.Body, h.Trailers = msg.Body{Kind: msg.Chunked}, true
	h.Fields.Add([]byte("content-type"), []byte("application/grpc"))
	h.Fields.Add([]byte("grpc-timeout"), append(strconv.AppendInt(nil, min(p.Config.Timeout.Milliseconds(), 99_999_999), 10), 'm'))
	return q
}
