package http1

import (
	"bytes"

	"github.com/leno-mesh/leno/proxy/msg"
)

// HeadEnd looks for the end of a head in buf and returns the head's length, 0 when more bytes are needed. from is how
// much of buf was looked at before, so that a head that trickles in is not scanned again and again.
func HeadEnd(buf []byte, from int) (int, error) {
	start := max(0, from-3)
	if i := bytes.Index(buf[start:], []byte("\r\n\r\n")); i >= 0 {
		if end := start + i + 4; end <= MaxHead {
			return end, nil
		}
		return 0, ErrHeadTooLarge
	}
	// Without an end in sight, say at once what can only get worse: a client that ends lines with LF would wait for
	// ever.
	for i := start; ; i++ {
		j := bytes.IndexByte(buf[i:], '\n')
		if j < 0 {
			break
		}
		i += j
		if i == 0 || buf[i-1] != '\r' {
			return 0, ErrBareLF
		}
	}
	if len(buf) >= MaxHead {
		if bytes.IndexByte(buf[:MaxRequestLine], '\n') < 0 {
			return 0, ErrLineTooLong
		}
		return 0, ErrHeadTooLarge
	}
	return 0, nil
}

// framing is what the fields of a head say about the message itself; such fields are not kept among the others.
type framing struct {
	length      int64 // -1: no Content-Length
	chunked     bool
	host        []byte
	hosts       int
	upgrade     []byte
	expect      []byte
	expects     bool
	te          bool // TE names trailers
	connection  [maxConnectionLines][]byte
	connections int
}

// parseFields reads field lines up to and including the empty line; block ends with CRLF CRLF or is just CRLF.
func parseFields(block []byte, list *msg.Fields, fr *framing) error {
	count := 0
	for {
		if len(block) >= 2 && block[0] == '\r' && block[1] == '\n' {
			return nil
		}
		if count++; count > MaxFields {
			return ErrTooManyFields
		}
		name, value, rest, err := parseLine(block)
		if err != nil {
			return err
		}
		block = rest
		special, err := fr.take(name, value)
		if err != nil {
			return err
		}
		if !special {
			*list = append(*list, msg.Field{Name: name, Value: value})
		}
	}
}

// parseLine reads one field line (RFC 9112 section 5).
func parseLine(b []byte) (name, value, rest []byte, err error) {
	i := 0
	for i < len(b) && class[b[i]]&isToken != 0 {
		i++
	}
	if i == 0 {
		if len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
			return nil, nil, nil, ErrFold
		}
		return nil, nil, nil, ErrFieldName
	}
	if i == len(b) || b[i] != ':' {
		return nil, nil, nil, ErrFieldName
	}
	name = b[:i]
	i++
	start := i
	for i < len(b) && class[b[i]]&isValue != 0 {
		i++
	}
	switch {
	case i+1 >= len(b):
		return nil, nil, nil, ErrFieldValue
	case b[i] == '\n':
		return nil, nil, nil, ErrBareLF
	case b[i] != '\r':
		return nil, nil, nil, ErrFieldValue
	case b[i+1] != '\n':
		return nil, nil, nil, ErrBareCR
	}
	return name, trim(b[start:i]), b[i+2:], nil
}

// take handles the fields that frame a message or belong to one connection only.
func (fr *framing) take(name, value []byte) (bool, error) {
	switch len(name) {
	case 2:
		if msg.EqualName(name, "te") {
			fr.te = fr.te || hasToken(value, "trailers")
			return true, nil
		}
	case 4:
		if msg.EqualName(name, "host") {
			fr.hosts++
			fr.host = value
			return true, nil
		}
	case 6:
		if msg.EqualName(name, "expect") {
			if !fr.expects || msg.EqualName(fr.expect, "100-continue") {
				fr.expect = value // of several lines, the first unknown expectation counts
			}
			fr.expects = true
			return true, nil
		}
	case 7:
		if msg.EqualName(name, "upgrade") {
			fr.upgrade = value
			return true, nil
		}
	case 10:
		if msg.EqualName(name, "connection") {
			if fr.connections == maxConnectionLines {
				return false, ErrConnection
			}
			fr.connection[fr.connections] = value
			fr.connections++
			return true, nil
		}
		return msg.EqualName(name, "keep-alive"), nil
	case 14:
		if msg.EqualName(name, "content-length") {
			return true, fr.takeLength(value)
		}
	case 16:
		return msg.EqualName(name, "proxy-connection"), nil
	case 17:
		if msg.EqualName(name, "transfer-encoding") {
			return true, fr.takeCoding(value)
		}
	}
	return false, nil
}

// takeLength reads Content-Length: digits only, and only once. RFC 9112 section 6.3 lets a recipient accept a list of
// equal values; nobody honest sends one.
func (fr *framing) takeLength(value []byte) error {
	if fr.length >= 0 {
		return ErrLengthDuplicate
	}
	if len(value) == 0 || len(value) > maxLengthDigits {
		return ErrLength
	}
	var n int64
	for _, c := range value {
		if !isDigit(c) {
			return ErrLength
		}
		n = n*10 + int64(c-'0')
	}
	fr.length = n
	return nil
}

// takeCoding accepts "chunked", once. Other codings are legal but understood by no peer (RFC 9112 section 6.1).
func (fr *framing) takeCoding(value []byte) error {
	if fr.chunked {
		return ErrCoding
	}
	if msg.EqualName(value, "chunked") {
		fr.chunked = true
		return nil
	}
	if len(value) == 0 {
		return ErrCoding
	}
	for _, c := range value {
		if class[c]&isToken == 0 && c != ',' && c != ' ' && c != '\t' {
			return ErrCoding
		}
	}
	last := value
	if i := bytes.LastIndexByte(value, ','); i >= 0 {
		last = trim(value[i+1:])
	}
	if bytes.IndexByte(value, ',') >= 0 && (len(last) == 0 || !msg.EqualName(last, "chunked")) {
		return ErrCoding // the end of the body could not be found (RFC 9112 section 6.3 item 4)
	}
	return ErrCodingUnknown
}

// hop reads the Connection options and removes the fields that they name (RFC 9110 section 7.6.1).
func (fr *framing) hop(list *msg.Fields) (closing, keep, upgrade bool, err error) {
	for _, value := range fr.connection[:fr.connections] {
		for len(value) > 0 {
			var option []byte
			option, value = nextItem(value)
			switch {
			case len(option) == 0:
			case msg.EqualName(option, "close"):
				closing = true
			case msg.EqualName(option, "keep-alive"):
				keep = true
			case msg.EqualName(option, "upgrade"):
				upgrade = true
			case !all(option, isToken):
				return false, false, false, ErrConnection
			default:
				removeNamed(list, option)
			}
		}
	}
	return closing, keep, upgrade, nil
}

func removeNamed(list *msg.Fields, name []byte) {
	old := *list
	kept := old[:0]
	for i := range old {
		if !msg.EqualFold(old[i].Name, name) {
			kept = append(kept, old[i])
		}
	}
	*list = kept
}

// nextItem splits the first element off a comma list.
func nextItem(list []byte) (item, rest []byte) {
	if i := bytes.IndexByte(list, ','); i >= 0 {
		return trim(list[:i]), list[i+1:]
	}
	return trim(list), nil
}

func hasToken(list []byte, lower string) bool {
	for len(list) > 0 {
		var item []byte
		item, list = nextItem(list)
		if i := bytes.IndexByte(item, ';'); i >= 0 {
			item = trim(item[:i])
		}
		if msg.EqualName(item, lower) {
			return true
		}
	}
	return false
}
