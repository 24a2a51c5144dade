package config

import (
	"encoding/base64"
	"math"
	"time"
)

// Persistence is how a client stays at the endpoint that it was sent to first.
type Persistence struct {
	// Cookie is the name of the cookie that clients carry their session in, or Header that of the header (in lower case): one is set.
	Cookie, Header string
	Path           string // of the cookie
	// Timeout ends a session, counted from its beginning; 0: nothing but the client does.
	Timeout time.Duration
	// Permanent cookies outlive the browser's session, until Timeout.
	Permanent bool
	// Key seals what clients carry.
	Key SessionKey
}

// SessionKey is a key of AES-256. It shows itself to nobody: %v and JSON get words instead.
type SessionKey [32]byte

// String hides the key.
func (SessionKey) String() string { return "(session key)" }

// GoString hides the key.
func (SessionKey) GoString() string { return "(session key)" }

// MarshalJSON hides the key.
func (SessionKey) MarshalJSON() ([]byte, error) { return []byte(`"(session key)"`), nil }

// The filter that keeps sessions, by its name and its messages.
const (
	statefulSession       = "envoy.filters.http.stateful_session"
	statefulSessionFilter = "envoy.extensions.filters.http.stateful_session.v3.StatefulSession"
	statefulSessionRoute  = "envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute"
)

// decodePersistence reads {cookie, path, permanent} or {header}, {timeout, key}; nil from nil.
func decodePersistence(o *object) *Persistence {
	if o == nil {
		return nil
	}
	p := &Persistence{
		Cookie: o.text("cookie"), Header: o.text("header"), Path: o.text("path"), Permanent: o.flag("permanent"),
		Timeout: time.Duration(o.count("timeout", uint32(min(maxDuration/time.Second, math.MaxUint32)))) * time.Second,
	}
	key, err := base64.StdEncoding.DecodeString(o.text("key"))
	if err != nil || copy(p.Key[:], key) != len(p.Key) || len(key) != len(p.Key) {
		o.fail("key is not %d octets in base64", len(p.Key))
	}
	switch {
	case (p.Cookie == "") == (p.Header == ""):
		o.fail("names not either a cookie or a header")
	case !token(p.Cookie) || !token(p.Header):
		o.fail("has a name with characters that no cookie or header can have")
	case p.Cookie != "" && !cookiePath(p.Path):
		o.fail("path is %q: it must begin with / and have no ;, space or control characters", p.Path)
	}
	o.done()
	return p
}

// token holds for names of fields and cookies (RFC 9110 section 5.6.2, RFC 6265 section 4.1.1), and for none.
func token(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '!', c == '#', c == '$', c == '%', c == '&', c == '\'', c == '*', c == '+', c == '-', c == '.', c == '^', c == '_', c == '`', c == '|', c == '~':
		default:
			return false
		}
	}
	return true
}

func cookiePath(path string) bool {
	for i := range len(path) {
		if c := path[i]; c <= ' ' || c >= 0x7f || c == ';' {
			return false
		}
	}
	return path != "" && path[0] == '/'
}
