package mesh

import "time"

// Persistence is how a client stays at the endpoint that it was sent to first (GEP-1619).
type Persistence struct {
	// Header tells that clients carry their session in the header Name, rather than in the cookie.
	Header bool
	Name   string
	Path   string // of the cookie
	// Timeout ends a session, counted from its beginning; 0: nothing but the client does.
	Timeout time.Duration
	// Permanent cookies outlive the browser's session, until Timeout.
	Permanent bool
}

// SessionKey is what the keys that seal sessions are derived from. It shows itself to nobody.
type SessionKey [32]byte

// String hides the key.
func (SessionKey) String() string { return "(session key)" }

// GoString hides the key.
func (SessionKey) GoString() string { return "(session key)" }

// MarshalJSON hides the key.
func (SessionKey) MarshalJSON() ([]byte, error) { return []byte(`"(session key)"`), nil }
