package detect

import (
	"golang.org/x/crypto/cryptobyte"
)

// Numbers of RFC 8446 (TLS 1.3), section 5.1 and 4, RFC 6066 section 3 and RFC 7301 section 3.1.
const (
	recordHandshake = 22
	clientHello     = 1
	extensionSNI    = 0
	extensionALPN   = 16
	hostName        = 0
)

// classifyTLS reads a ClientHello, which may be spread over several records.
func classifyTLS(b []byte) (Verdict, bool) {
	var handshake []byte
	records := cryptobyte.String(b)
	for {
		var kind uint8
		var version uint16
		var fragment cryptobyte.String
		before := records
		if !records.ReadUint8(&kind) || !records.ReadUint16(&version) || !records.ReadUint16LengthPrefixed(&fragment) {
			return undecidedHello(before, len(handshake) == 0)
		}
		if kind != recordHandshake || version>>8 != 3 || len(fragment) == 0 {
			return Verdict{Kind: Opaque}, true
		}
		handshake = append(handshake, fragment...)
		if handshake[0] != clientHello {
			return Verdict{Kind: Opaque}, true
		}
		message := cryptobyte.String(handshake)
		var body cryptobyte.String
		if !message.Skip(1) || !message.ReadUint24LengthPrefixed(&body) {
			continue // goes on in the next record
		}
		verdict := Verdict{Kind: TLS}
		if !readHello(body, &verdict) {
			return Verdict{Kind: Opaque}, true
		}
		verdict.Whole = true
		return verdict, true
	}
}

// undecidedHello looks at the beginning of a record that is not complete. first: no record came before it.
func undecidedHello(b cryptobyte.String, first bool) (Verdict, bool) {
	if len(b) > 0 && b[0] != recordHandshake || len(b) > 1 && b[1] != 3 || len(b) > 5 && first && b[5] != clientHello {
		return Verdict{Kind: Opaque}, true
	}
	return Verdict{Kind: TLS}, false
}

// readHello reads the parts that matter of a ClientHello (RFC 8446, section 4.1.2).
func readHello(hello cryptobyte.String, v *Verdict) bool {
	var session, suites, compression, extensions cryptobyte.String
	if !hello.Skip(2+32) || !hello.ReadUint8LengthPrefixed(&session) || !hello.ReadUint16LengthPrefixed(&suites) ||
		!hello.ReadUint8LengthPrefixed(&compression) {
		return false
	}
	if hello.Empty() {
		return true // no extensions
	}
	if !hello.ReadUint16LengthPrefixed(&extensions) {
		return false
	}
	for !extensions.Empty() {
		var kind uint16
		var body cryptobyte.String
		if !extensions.ReadUint16(&kind) || !extensions.ReadUint16LengthPrefixed(&body) {
			return false
		}
		ok := true
		switch kind {
		case extensionSNI:
			ok = readSNI(body, v)
		case extensionALPN:
			ok = readALPN(body, v)
		}
		if !ok {
			return false
		}
	}
	return true
}

func readSNI(body cryptobyte.String, v *Verdict) bool {
	var names cryptobyte.String
	if !body.ReadUint16LengthPrefixed(&names) {
		return false
	}
	for !names.Empty() {
		var kind uint8
		var name cryptobyte.String
		if !names.ReadUint8(&kind) || !names.ReadUint16LengthPrefixed(&name) {
			return false
		}
		if kind != hostName {
			continue
		}
		// One name at most, and not an empty one (RFC 6066, section 3): of two, the server might take the other.
		if v.SNI != "" || len(name) == 0 {
			return false
		}
		v.SNI = string(name)
	}
	return true
}

func readALPN(body cryptobyte.String, v *Verdict) bool {
	var names cryptobyte.String
	if !body.ReadUint16LengthPrefixed(&names) {
		return false
	}
	for !names.Empty() {
		var name cryptobyte.String
		if !names.ReadUint8LengthPrefixed(&name) || len(name) == 0 {
			return false
		}
		v.ALPN = append(v.ALPN, string(name))
	}
	return true
}
