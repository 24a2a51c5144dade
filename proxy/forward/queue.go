package forward

// queue holds octets that cannot be sent yet, in pooled buffers. What it may hold is bounded by the window that its source was
// given.
type queue struct {
	pieces [][]byte
	at     int // octets of the first piece that are gone
	size   int
}

func (q *queue) empty() bool { return q.size == 0 }

// add copies p to the end.
func (q *queue) add(p []byte) {
	q.size += len(p)
	for len(p) > 0 {
		last := len(q.pieces) - 1
		if last < 0 || len(q.pieces[last]) == cap(q.pieces[last]) {
			size := largeBuffer
			if last < 0 && len(p) <= smallBuffer {
				size = smallBuffer
			}
			q.pieces = append(q.pieces, takeBuffer(size)[:0])
			last++
		}
		b := q.pieces[last]
		n := min(len(p), cap(b)-len(b))
		q.pieces[last] = append(b, p[:n]...)
		p = p[n:]
	}
}

// first is the beginning of what is there; empty when nothing is.
func (q *queue) first() []byte {
	if q.size == 0 {
		return nil
	}
	return q.pieces[0][q.at:]
}

// all is a copy of what is there.
func (q *queue) all() []byte {
	out := make([]byte, 0, q.size)
	for i, b := range q.pieces {
		if i == 0 {
			b = b[q.at:]
		}
		out = append(out, b...)
	}
	return out
}

// only tells that first is all there is.
func (q *queue) only() bool { return len(q.pieces) <= 1 }

// take drops n octets of first.
func (q *queue) take(n int) {
	q.at += n
	q.size -= n
	if len(q.pieces) > 0 && q.at == len(q.pieces[0]) {
		giveBuffer(q.pieces[0])
		last := copy(q.pieces, q.pieces[1:])
		q.pieces[last] = nil
		q.pieces, q.at = q.pieces[:last], 0
	}
}

func (q *queue) reset() {
	for _, b := range q.pieces {
		giveBuffer(b)
	}
	clear(q.pieces)
	q.pieces, q.at, q.size = q.pieces[:0], 0, 0
}
