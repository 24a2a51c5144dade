package http1

import (
	"bytes"

	"github.com/leno-mesh/leno/proxy/msg"
)

// Chunks decodes one chunked body (RFC 9112 section 7.1). The zero value is ready; Reset makes it so again.
type Chunks struct {
	// Trailers are the fields after the last chunk, set when Done; fields that frame or route a message are left out
	// (RFC 9110 section 6.5.1). Views into what Decode was given last.
	Trailers msg.Fields
	left     int64 // octets to come of the current chunk
	state    chunkState
}

type chunkState uint8

const (
	atSize chunkState = iota
	inData
	atDataEnd
	atTrailers
	atEnd
)

// Reset forgets everything but memory.
func (c *Chunks) Reset() { *c = Chunks{Trailers: c.Trailers[:0]} }

// Done tells that the whole body, trailers included, was decoded.
func (c *Chunks) Done() bool { return c.state == atEnd }

// Decode consumes n octets of src and appends the data among them to dst, which may be src[:0]: data only ever moves
// to the front. What it leaves must be given again with more behind it; it never leaves more than MaxTrailers.
func (c *Chunks) Decode(dst, src []byte) (out []byte, n int, err error) {
	for {
		rest := src[n:]
		switch c.state {
		case atSize:
			used, err := c.size(rest)
			if used == 0 || err != nil {
				return dst, n, err
			}
			n += used
		case inData:
			take := int(min(c.left, int64(len(rest))))
			dst = append(dst, rest[:take]...)
			n += take
			if c.left -= int64(take); c.left > 0 {
				return dst, n, nil
			}
			c.state = atDataEnd
		case atDataEnd:
			if len(rest) > 0 && rest[0] != '\r' || len(rest) > 1 && rest[1] != '\n' {
				return dst, n, ErrChunkEnd
			}
			if len(rest) < 2 {
				return dst, n, nil
			}
			n += 2
			c.state = atSize
		case atTrailers:
			used, err := c.trailers(rest)
			if used == 0 || err != nil {
				return dst, n, err
			}
			n += used
			c.state = atEnd
		case atEnd:
			return dst, n, nil
		}
	}
}

// size reads "hex [extensions] CRLF". Extensions are checked for forbidden octets and dropped.
func (c *Chunks) size(b []byte) (int, error) {
	end := bytes.IndexByte(b[:min(len(b), MaxChunkLine)], '\n')
	line := b
	if end >= 0 {
		if end == 0 || b[end-1] != '\r' {
			return 0, ErrBareLF
		}
		line = b[:end-1]
	} else if len(b) >= MaxChunkLine {
		return 0, ErrChunkLine
	}
	var n int64
	i := 0
	for i < len(line) && isHex(line[i]) {
		if i == maxSizeDigits {
			return 0, ErrChunkSize
		}
		d := line[i]
		if d > '9' {
			d = d&^0x20 - 'A' + 10 + '0'
		}
		n = n<<4 | int64(d-'0')
		i++
	}
	if i == 0 && len(line) > 0 || end >= 0 && i == 0 {
		return 0, ErrChunkSize
	}
	if end < 0 {
		return 0, nil
	}
	if i < len(line) {
		// chunk-ext starts with ";"; white space before it is a known source of disagreement.
		if line[i] != ';' || !all(line[i:], isValue) {
			return 0, ErrChunkSize
		}
	}
	if c.left = n; n == 0 {
		c.state = atTrailers
	} else {
		c.state = inData
	}
	return end + 1, nil
}

// trailers reads the trailer section once it is whole.
func (c *Chunks) trailers(b []byte) (int, error) {
	end := 0
	if bytes.HasPrefix(b, []byte("\r\n")) {
		end = 2
	} else if i := bytes.Index(b[:min(len(b), MaxTrailers)], []byte("\r\n\r\n")); i >= 0 {
		end = i + 4
	}
	if end == 0 {
		if len(b) >= MaxTrailers {
			return 0, ErrTrailersLarge
		}
		for i, x := range b {
			if x == '\n' && (i == 0 || b[i-1] != '\r') {
				return 0, ErrBareLF
			}
		}
		return 0, nil
	}
	c.Trailers = c.Trailers[:0]
	block := b[:end]
	for count := 0; !bytes.HasPrefix(block, []byte("\r\n")); count++ {
		if count == MaxFields {
			return 0, ErrTooManyFields
		}
		name, value, rest, err := parseLine(block)
		if err != nil {
			return 0, err
		}
		if block = rest; !frames(name) {
			c.Trailers = append(c.Trailers, msg.Field{Name: name, Value: value})
		}
	}
	return end, nil
}

// frames tells whether a field must not stand among trailers: it frames, routes or authenticates the message.
func frames(name []byte) bool {
	for _, forbidden := range [...]string{"transfer-encoding", "content-length", "host", "connection", "keep-alive",
		"te", "upgrade", "trailer", "expect", "authorization", "content-encoding", "content-type", "content-range",
		"cookie", "set-cookie", "proxy-connection"} {
		if msg.EqualName(name, forbidden) {
			return true
		}
	}
	return false
}
