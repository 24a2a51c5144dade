// Package http2 is HTTP/2 (RFC 9113) with HPACK (RFC 7541) as a machine: bytes and the time in, events and bytes out. It owns no
// socket, no goroutine and no log. One [Conn] is either end of a connection; whoever runs it guards it by a lock.
package http2

import "time"

// What we tell our peers in SETTINGS (RFC 9113 section 6.5.2).
const (
	// MaxStreams is how many requests a client may have open at once. Each may hold StreamWindow octets.
	MaxStreams = 250
	// StreamWindow is what may be under way on one stream before it is consumed: enough for 1 Gbit/s over 2 ms.
	StreamWindow = 256 << 10
	// ConnWindow bounds what one connection can make a proxy keep, whatever the number of streams.
	ConnWindow = 4 << 20
	// MaxFrame is the largest payload: the smallest value allowed, so that no stream blocks others for long.
	MaxFrame = 16 << 10
	// tableSize is the dynamic table of either direction: the default of RFC 7541.
	tableSize = 4096
)

// Limits of messages: those of package http1, so that a message that came one way can leave the other way.
const (
	// MaxHead bounds the field section, counted as RFC 9113 section 6.5.2 does (names, values and 32 octets each).
	MaxHead = 128 << 10
	// MaxFields bounds field lines. Pseudo-header fields and crumbs of Cookie count.
	MaxFields = 200
	// maxFragments bounds frames of one field section: MaxHead in full frames needs 8.
	maxFragments = 32
	// maxBlock bounds the encoded octets of one field section. A section between MaxHead and this is answered with 431; one that is
	// larger ends the connection, because it would have to be kept until its end.
	maxBlock = 2 * MaxHead
)

// Limits against floods. Each is a budget that costs refill: by time, and by what honest peers do in between.
const (
	// resetBurst is how many requests a client may cancel before they are answered; finished ones and time give it back.
	// Deadlines that expire all at once must not end a connection, a loop of HEADERS and RST_STREAM must.
	resetBurst   = 500
	resetsPerSec = 50
	// controlBurst bounds frames that carry nothing: PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA, unknown types. Frames
	// with content, in either direction, give it back.
	controlBurst      = 1000
	controlPerSec     = 100
	controlPerContent = 10
	// maxControlOut bounds answers (to PING, SETTINGS, broken streams) that a peer does not read.
	maxControlOut = 64 << 10
)

// HighWater is how many octets may wait for the socket before streams count as blocked: a peer that announces large windows
// and does not read makes its own streams wait, not the proxy's memory grow.
const HighWater = 256 << 10

// HeaderTime is how long a field section may take from its first to its last frame.
const HeaderTime = 20 * time.Second

// DataTime is how long one frame of DATA may take. Its sender may be slow; MaxFrame in this time is 136 octets a second.
const DataTime = 2 * time.Minute

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
