package http1

// Classes of octets.
const (
	isToken  = 1 << iota // tchar, RFC 9110 section 5.6.2
	isValue              // field-vchar, obs-text, SP and HTAB, RFC 9110 section 5.5
	isTarget             // what may stand in a request target: visible, no fragment; obs-text passes untouched
	isHost               // reg-name, IP-literal and port, RFC 3986 section 3.2
)

var class = classes()

func classes() (t [256]uint8) {
	for c := range 256 {
		switch {
		case c == '\t' || c == ' ':
			t[c] |= isValue
		case c > ' ' && c != 0x7f:
			t[c] |= isValue
			if c != '#' {
				t[c] |= isTarget
			}
		}
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			t[c] |= isToken | isHost
		}
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] |= isToken
	}
	for _, c := range "-._~%!$&'()*+;=:[]" {
		t[c] |= isHost
	}
	return t
}

func all(b []byte, want uint8) bool {
	for _, c := range b {
		if class[c]&want == 0 {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return c-'0' < 10 }

// trim removes optional white space round a value (RFC 9110 section 5.6.3).
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// validHost tells whether b is uri-host [ ":" port ] (RFC 9110 section 7.2); empty is allowed there.
func validHost(b []byte) bool {
	if !all(b, isHost) {
		return false
	}
	if len(b) > 0 && b[0] == '[' {
		i := 1
		for i < len(b) && b[i] != ']' {
			if !isHex(b[i]) && b[i] != ':' && b[i] != '.' {
				return false
			}
			i++
		}
		return i > 1 && i < len(b) && validPort(b[i+1:])
	}
	for i, c := range b {
		switch c {
		case '[', ']':
			return false
		case ':':
			return i > 0 && validPort(b[i:])
		}
	}
	return true
}

// validPort accepts nothing, or ":" and up to five digits.
func validPort(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	if b[0] != ':' || len(b) > 6 {
		return false
	}
	for _, c := range b[1:] {
		if !isDigit(c) {
			return false
		}
	}
	return true
}

func isHex(c byte) bool { return isDigit(c) || (c|0x20)-'a' < 6 }
