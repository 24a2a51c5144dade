package http1

// The grammar that all versions of HTTP share (RFC 9110), for codecs of other versions.

// IsToken tells whether b is a token: a method or, with capitals, a field name.
func IsToken(b []byte) bool { return len(b) > 0 && all(b, isToken) }

// IsFieldValue tells whether b may be a field value.
func IsFieldValue(b []byte) bool { return all(b, isValue) }

// Trim removes white space round a value.
func Trim(b []byte) []byte { return trim(b) }

// IsTarget tells whether b has only octets that a request target may have.
func IsTarget(b []byte) bool { return all(b, isTarget) }

// IsHost tells whether b is uri-host [ ":" port ].
func IsHost(b []byte) bool { return validHost(b) }

// ParseLength reads the value of a Content-Length.
func ParseLength(value []byte) (n int64, ok bool) {
	fr := framing{length: -1}
	err := fr.takeLength(value)
	return fr.length, err == nil
}

// Untrailable tells whether a field must not stand among trailers: it frames, routes or authenticates the message.
func Untrailable(name []byte) bool { return frames(name) }
