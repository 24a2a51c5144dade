package http2

import (
	"bytes"

	"github.com/cespare/xxhash/v2"

	"github.com/leno-mesh/leno/proxy/msg"
)

// slots is how many values and names an encoder can find; a power of two.
const slots = 256

// encoder is the sending half of HPACK. A field enters the table when it is sent for the second time, so that values that never
// come again (trace ids, lengths) do not drive out those that always do. Strings are sent as they are: Huffman coding costs more
// time here than its octets do on a network between pods.
type encoder struct {
	table table
	// Numbers of the entries, by hash. What stands in a slot is only a hint: it may be another field's, or evicted.
	fields [slots]uint32
	names  [slots]uint32
	seen   [slots]uint32 // hashes of fields that were sent
	lower  []byte

	// A change of the peer's limit is told at the beginning of the next block (RFC 7541 section 4.2).
	lowest int
	update bool
}

// limit takes over the peer's SETTINGS_HEADER_TABLE_SIZE.
func (e *encoder) limit(n uint32) {
	size := int(min(n, tableSize))
	if size == e.table.max {
		return
	}
	if !e.update || size < e.lowest {
		e.lowest = size
	}
	e.update = true
	e.table.resize(size)
}

// begin appends what must stand in front of a block.
func (e *encoder) begin(dst []byte) []byte {
	if !e.update {
		return dst
	}
	e.update = false
	if size := e.table.max; e.lowest < size {
		// Not lowest itself: x/net takes a second change only where the first has emptied the table.
		e.table.resize(0)
		e.table.resize(size)
		dst = append(dst, 0x20)
	}
	return appendInt(dst, 0x20, 5, uint32(e.table.max))
}

// field appends one field. The name may have capitals.
func (e *encoder) field(dst []byte, f *msg.Field) []byte {
	name := f.Name
	for _, c := range name {
		if c >= 'A' && c <= 'Z' {
			e.lower = e.lower[:0]
			for _, c := range name {
				e.lower = append(e.lower, msg.Lower(c))
			}
			name = e.lower
			break
		}
	}
	if f.Sensitive || secret(name) {
		return e.literal(dst, 0x10, 4, 0, name, f.Value)
	}
	return e.indexable(dst, 0, name, f.Value)
}

// indexable appends a field, from the table where it is there. known is the static index of the name, 0 for none.
func (e *encoder) indexable(dst []byte, known uint32, name, value []byte) []byte {
	byName := xxhash.Sum64(name)
	hash := byName*31 ^ xxhash.Sum64(value)
	slot := hash % slots
	n := e.fields[slot]
	if en, ev, ok := e.table.get(n); ok && bytes.Equal(en, name) && bytes.Equal(ev, value) {
		return appendInt(dst, 0x80, 7, firstDynamicIndex+e.table.next-1-n)
	}
	tag := uint32(hash >> 32)
	if e.seen[slot] != tag || len(name)+len(value)+32 > e.table.max/2 {
		e.seen[slot] = tag
		return e.literal(dst, 0, 4, known, name, value)
	}
	dst = e.literal(dst, 0x40, 6, known, name, value)
	e.fields[slot], e.names[byName%slots] = e.table.next, e.table.next
	e.table.add(name, value)
	return dst
}

// literal appends a literal of the given kind.
func (e *encoder) literal(dst []byte, kind byte, prefix uint8, known uint32, name, value []byte) []byte {
	if known == 0 {
		known = uint32(staticNames[string(name)])
	}
	if known == 0 {
		n := e.names[xxhash.Sum64(name)%slots]
		if had, _, ok := e.table.get(n); ok && bytes.Equal(had, name) {
			known = firstDynamicIndex + e.table.next - 1 - n
		}
	}
	if known > 0 {
		dst = appendInt(dst, kind, prefix, known)
	} else {
		dst = appendText(append(dst, kind), name)
	}
	return appendText(dst, value)
}

// pseudo appends a pseudo-header field; index is the static index of its name.
func (e *encoder) pseudo(dst []byte, index uint32, value []byte) []byte {
	return e.indexable(dst, index, static[index].name, value)
}

// secret tells which fields never enter the table, whoever sends them: one connection carries requests of many clients, and
// none of them must be able to find out another's secrets by guessing (RFC 7541 section 7.1).
func secret(name []byte) bool {
	switch len(name) {
	case 6:
		return string(name) == "cookie"
	case 10:
		return string(name) == "set-cookie"
	case 13:
		return string(name) == "authorization"
	case 19:
		return string(name) == "proxy-authorization"
	}
	return false
}

func appendText(dst, text []byte) []byte {
	return append(appendInt(dst, 0, 7, uint32(len(text))), text...)
}

// appendInt appends an integer with a prefix of that many bits below the bits of first.
func appendInt(dst []byte, first byte, prefix uint8, n uint32) []byte {
	mask := uint32(1)<<prefix - 1
	if n < mask {
		return append(dst, first|byte(n))
	}
	dst = append(dst, first|byte(mask))
	for n -= mask; n >= 0x80; n >>= 7 {
		dst = append(dst, byte(n)|0x80)
	}
	return append(dst, byte(n))
}
