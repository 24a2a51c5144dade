// Package persistence keeps a client at the endpoint that it was sent to first (Gateway API SessionPersistence, GEP-1619). What the client
// carries is sealed: it tells nobody where the endpoint is, and nobody else can make one (docs/decisions/0015).
package persistence

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"
	"strconv"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/msg"
)

// Policy is a compiled config.Persistence.
type Policy struct {
	header     bool
	name       string // in lower case where it is a header's
	nameBytes  []byte
	path       []byte // of the cookie
	attributes []byte // of the cookie
	timeout    time.Duration
	seal       cipher.AEAD // with a nonce of its own in each text
}

// Place is the endpoint that a session belongs to. The zero value is none.
type Place struct{ Cluster, Endpoint uint64 }

// Cluster stands for a cluster in a Place.
func Cluster(name string) uint64 { return hash(name) }

// Endpoint stands for an endpoint in a Place: for the pod, since another one may get its address, or for an address that is no pod's.
func Endpoint(e *config.Endpoint) uint64 {
	if e.Workload.Pod == "" {
		return hash(e.Address.String())
	}
	return hash(e.Workload.Namespace + "/" + e.Workload.Pod)
}

func hash(text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text)) // never fails
	return h.Sum64()
}

// Compile prepares c; nil for nil.
func Compile(c *config.Persistence) *Policy {
	if c == nil {
		return nil
	}
	p := &Policy{header: c.Header != "", name: c.Cookie + c.Header, timeout: c.Timeout}
	p.nameBytes, p.path = []byte(p.name), []byte(c.Path)
	p.attributes = append(p.attributes, "; Path="+c.Path...)
	if c.Permanent {
		p.attributes = append(p.attributes, "; Max-Age="+strconv.FormatInt(int64(c.Timeout/time.Second), 10)...)
	}
	p.attributes = append(p.attributes, "; HttpOnly"...)
	block, err := aes.NewCipher(c.Key[:])
	if err == nil {
		p.seal, err = cipher.NewGCMWithRandomNonce(block)
	}
	if err != nil {
		panic("a key of 32 octets is one of AES-256: " + err.Error())
	}
	return p
}

// Sizes in octets: what is sealed is when the session began, in Unix seconds, and its place.
const (
	plainSize  = 8 + 8 + 8
	sealedSize = 12 + plainSize + 16 // nonce and tag around it
)

// encoding is made of characters that cookies and headers may have.
var encoding = base64.RawURLEncoding.Strict()

// Covers tells whether clients show their sessions in requests like r: a cookie where its path matches (RFC 6265 section 5.1.4). Others
// are on their own. If they began sessions, these would take the place of those that the client has elsewhere.
func (p *Policy) Covers(r *msg.Request) bool {
	if p.header || len(p.path) == 1 {
		return true
	}
	rest, ok := bytes.CutPrefix(r.Path, p.path)
	return ok && (len(rest) == 0 || rest[0] == '/' || p.path[len(p.path)-1] == '/')
}

// Find returns the place of the session that a request belongs to, wherever that is now; false when there is none, or it is over.
func (p *Policy) Find(r *msg.Request, now time.Time) (Place, bool) {
	for i := range r.Fields {
		f := &r.Fields[i]
		switch {
		case p.header && msg.EqualName(f.Name, p.name):
			if at, ok := p.open(f.Value, now); ok {
				return at, true
			}
		case !p.header && msg.EqualName(f.Name, "cookie"):
			for rest := f.Value; len(rest) > 0; {
				var pair []byte
				pair, rest, _ = bytes.Cut(rest, []byte(";"))
				name, value, _ := bytes.Cut(bytes.Trim(pair, " \t"), []byte("="))
				if string(name) != p.name {
					continue
				}
				if at, ok := p.open(value, now); ok {
					return at, true
				}
			}
		}
	}
	return Place{}, false
}

func (p *Policy) open(text []byte, now time.Time) (Place, bool) {
	var sealed [sealedSize]byte
	if encoding.DecodedLen(len(text)) != sealedSize {
		return Place{}, false
	}
	if n, err := encoding.Decode(sealed[:], text); err != nil || n != sealedSize {
		return Place{}, false
	}
	plain, err := p.seal.Open(nil, nil, sealed[:], p.nameBytes)
	if err != nil {
		return Place{}, false
	}
	begun := time.Unix(int64(binary.BigEndian.Uint64(plain)), 0)
	if p.timeout > 0 && now.Sub(begun) >= p.timeout {
		return Place{}, false
	}
	return Place{binary.BigEndian.Uint64(plain[8:]), binary.BigEndian.Uint64(plain[16:])}, true
}

// Start makes a response tell its client of a session that begins now.
func (p *Policy) Start(r *msg.Response, at Place, now time.Time) {
	plain := binary.BigEndian.AppendUint64(make([]byte, 0, plainSize), uint64(now.Unix()))
	plain = binary.BigEndian.AppendUint64(plain, at.Cluster)
	plain = binary.BigEndian.AppendUint64(plain, at.Endpoint)
	sealed := p.seal.Seal(nil, nil, plain, p.nameBytes)
	if p.header {
		r.Fields.Set(p.name, p.nameBytes, encoding.AppendEncode(nil, sealed))
		return
	}
	value := make([]byte, 0, len(p.nameBytes)+1+encoding.EncodedLen(len(sealed))+len(p.attributes))
	value = append(append(value, p.nameBytes...), '=')
	value = append(encoding.AppendEncode(value, sealed), p.attributes...)
	r.Fields.Add([]byte("set-cookie"), value)
}
