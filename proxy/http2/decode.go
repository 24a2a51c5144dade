package http2

import (
	"golang.org/x/net/http2/hpack"

	"github.com/leno-mesh/leno/proxy/msg"
)

// section is a decoded field section. The fields are views into the arena, which is used again for the next one.
type section struct {
	fields msg.Fields
	arena  []byte
	size   int  // as RFC 9113 section 6.5.2 counts
	over   bool // larger than the limits: decoded for the table's sake, but not kept
}

func (s *section) reset() {
	if cap(s.arena) > maxKept {
		s.arena = nil
	}
	s.fields, s.arena, s.size, s.over = s.fields[:0], s.arena[:0], 0, false
}

// add copies a field; table and block do not outlive the section's use.
func (s *section) add(name, value []byte, sensitive bool) {
	s.size += len(name) + len(value) + 32
	if s.over = s.over || s.size > MaxHead || len(s.fields) == MaxFields; s.over {
		return
	}
	at := len(s.arena)
	s.arena = append(append(s.arena, name...), value...)
	// A view of an arena that has moved since stays valid: the old one is not written to again.
	b := s.arena[at:]
	s.fields = append(s.fields, msg.Field{
		Name: b[:len(name):len(name)], Value: b[len(name) : len(name)+len(value) : len(name)+len(value)], Sensitive: sensitive,
	})
}

// maxKept is how much memory for field sections a connection keeps for the next one.
const maxKept = 16 << 10

// decoder is the receiving half of HPACK.
type decoder struct {
	table table
	huff  scratch
}

// scratch is what Huffman codes are undone into. It is an io.Writer for x/net's decoder.
type scratch struct{ b []byte }

func (s *scratch) Write(p []byte) (int, error) {
	s.b = append(s.b, p...)
	return len(p), nil
}

// decode reads a whole field block (RFC 7541 section 6) into s. An error is one of compression: the tables of both ends are not the
// same any more.
func (d *decoder) decode(block []byte, s *section) error {
	if cap(d.huff.b) > maxKept {
		d.huff.b = nil
	}
	begun := false
	for len(block) > 0 {
		var err error
		switch first := block[0]; {
		case first >= 0x80:
			block, err = d.indexed(block, s)
		case first >= 0x40:
			block, err = d.literal(block, 6, true, false, s)
		case first >= 0x20:
			if begun { // RFC 7541 section 4.2: only at the beginning
				return errCompression
			}
			block, err = d.update(block)
			if err != nil {
				return err
			}
			continue
		default:
			block, err = d.literal(block, 4, false, first >= 0x10, s)
		}
		if err != nil {
			return err
		}
		begun = true
	}
	return nil
}

func (d *decoder) indexed(b []byte, s *section) ([]byte, error) {
	i, rest, ok := readInt(b, 7)
	if !ok {
		return nil, errCompression
	}
	name, value, ok := d.at(i)
	if !ok {
		return nil, errCompression
	}
	s.add(name, value, false)
	return rest, nil
}

// at finds an entry in the address space of both tables (RFC 7541 section 2.3.3).
func (d *decoder) at(i uint32) (name, value []byte, ok bool) {
	if i < firstDynamicIndex {
		if i == 0 {
			return nil, nil, false
		}
		return static[i].name, static[i].value, true
	}
	return d.table.get(d.table.next - 1 - (i - firstDynamicIndex))
}

func (d *decoder) literal(b []byte, prefix uint8, index, sensitive bool, s *section) ([]byte, error) {
	i, rest, ok := readInt(b, prefix)
	if !ok {
		return nil, errCompression
	}
	d.huff.b = d.huff.b[:0]
	var name, value []byte
	if i > 0 {
		if name, _, ok = d.at(i); !ok {
			return nil, errCompression
		}
	} else if name, rest, ok = d.text(rest); !ok {
		return nil, errCompression
	}
	if value, rest, ok = d.text(rest); !ok {
		return nil, errCompression
	}
	s.add(name, value, sensitive)
	if index {
		d.table.add(name, value)
	}
	return rest, nil
}

// text reads a string literal (RFC 7541 section 5.2).
func (d *decoder) text(b []byte) (text, rest []byte, ok bool) {
	if len(b) == 0 {
		return nil, nil, false
	}
	n, rest, ok := readInt(b, 7)
	if !ok || int(n) > len(rest) {
		return nil, nil, false
	}
	text, rest = rest[:n], rest[n:]
	if b[0] < 0x80 {
		return text, rest, true
	}
	at := len(d.huff.b)
	if _, err := hpack.HuffmanDecode(&d.huff, text); err != nil {
		return nil, nil, false
	}
	return d.huff.b[at:], rest, true
}

// update is a change of the table's size, which must stay within what we announced.
func (d *decoder) update(b []byte) ([]byte, error) {
	n, rest, ok := readInt(b, 5)
	if !ok || n > tableSize {
		return nil, errCompression
	}
	d.table.resize(int(n))
	return rest, nil
}

// readInt reads an integer with a prefix of that many bits (RFC 7541 section 5.1). Numbers above 2^28 are refused: nothing here is
// that large.
func readInt(b []byte, prefix uint8) (n uint32, rest []byte, ok bool) {
	mask := uint32(1)<<prefix - 1
	n = uint32(b[0]) & mask
	b = b[1:]
	if n < mask {
		return n, b, true
	}
	for shift := uint(0); shift < 28 && len(b) > 0; shift += 7 {
		c := b[0]
		b = b[1:]
		n += uint32(c&0x7f) << shift
		if c < 0x80 {
			return n, b, true
		}
	}
	return 0, nil, false
}
