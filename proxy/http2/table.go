package http2

// maxEntries is how many entries a dynamic table can hold: each counts 32 octets more than it has.
const maxEntries = tableSize / 32

// table is a dynamic table (RFC 7541 section 2.3.2): a ring of entries over one buffer, so that a full table costs no allocation.
type table struct {
	ring        [maxEntries]entry
	first, next uint32 // numbers of the oldest entry and of the one to come
	size, max   int
	buf         []byte // octets of the entries in order, with those of evicted ones in front until it is full
}

type entry struct {
	at          int32
	name, value uint16
}

func (e entry) size() int { return int(e.name) + int(e.value) + 32 }

// len is the number of entries.
func (t *table) len() int { return int(t.next - t.first) }

// get returns the entry that was added as number n; ok is false when it was evicted or is not there yet.
func (t *table) get(n uint32) (name, value []byte, ok bool) {
	if n-t.first >= t.next-t.first {
		return nil, nil, false
	}
	e := t.ring[n%maxEntries]
	b := t.buf[e.at:]
	return b[:e.name:e.name], b[e.name : int(e.name)+int(e.value) : int(e.name)+int(e.value)], true
}

// resize sets the size that the table may have, and evicts what is over it.
func (t *table) resize(max int) {
	t.max = max
	t.evict(0)
}

func (t *table) evict(need int) {
	for t.size+need > t.max && t.first != t.next {
		t.size -= t.ring[t.first%maxEntries].size()
		t.first++
	}
}

// add inserts an entry; one that is larger than the table empties it (RFC 7541 section 4.4). name and value may be views into the
// table itself.
func (t *table) add(name, value []byte) {
	need := len(name) + len(value) + 32
	if need > t.max {
		t.evict(need)
		return
	}
	// Copied before anything is evicted or moved, because they may be views of old entries.
	at := len(t.buf)
	if at+len(name)+len(value) > 2*tableSize {
		at = t.compact(name, value)
	} else {
		t.buf = append(append(t.buf, name...), value...)
	}
	t.evict(need)
	t.ring[t.next%maxEntries] = entry{at: int32(at), name: uint16(len(name)), value: uint16(len(value))}
	t.next++
	t.size += need
}

// compact makes room at the end of buf and appends name and value there.
func (t *table) compact(name, value []byte) int {
	var added [tableSize]byte
	n := copy(added[:], name)
	n += copy(added[n:], value)
	start := len(t.buf)
	if t.first != t.next {
		start = int(t.ring[t.first%maxEntries].at)
	}
	t.buf = t.buf[:copy(t.buf, t.buf[start:])]
	for i := t.first; i != t.next; i++ {
		t.ring[i%maxEntries].at -= int32(start)
	}
	at := len(t.buf)
	t.buf = append(t.buf, added[:n]...)
	return at
}
