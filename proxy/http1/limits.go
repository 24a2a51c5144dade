// Package http1 reads and writes HTTP/1.1 messages (RFC 9112): bytes in, heads and body spans out. It owns no socket,
// no clock and no log. It accepts what the grammar allows and nothing else: whatever two implementations have been
// known to read in two ways is refused.
package http1

// Limits. One set for requests and responses, on both hops, so that a message that one sidecar passed on is not
// refused by the next.
const (
	// MaxHead bounds a whole head, start line included: 128 KiB holds the largest cookies and tokens seen in practice,
	// and bounds what one slow client can make a proxy keep.
	MaxHead = 128 << 10
	// MaxFields bounds field lines: per-line work is the cheapest way to make a head expensive.
	MaxFields = 200
	// MaxRequestLine bounds method, target and version. RFC 9112 section 3 asks for at least 8000 octets.
	MaxRequestLine = 32 << 10
	// MaxMethod: the longest registered method has 17 octets.
	MaxMethod = 64
	// MaxChunkLine bounds a chunk's size line with its extensions, which nobody uses but attackers
	// (RFC 9112 section 7.1.1 asks for a limit).
	MaxChunkLine = 256
	// MaxTrailers bounds the trailer section; it must fit into the smallest read buffer at once.
	MaxTrailers = 4 << 10
	// maxConnectionLines bounds Connection field lines: one is usual.
	maxConnectionLines = 4
	// maxLengthDigits keeps Content-Length below 10^18, far from overflow.
	maxLengthDigits = 18
	// maxSizeDigits keeps a chunk below 2^60 octets.
	maxSizeDigits = 15
)
