// Package detect finds out what a client speaks by looking at its first bytes, without taking them: bounded in bytes and
// time, and with an answer for clients that say nothing because the server has the first word.
package detect

import (
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// Kind is what the first bytes look like.
type Kind uint8

// The kinds. Everything that is not recognised is Opaque.
const (
	Silent Kind = iota // the client said nothing in the time given: it may wait for the server's greeting
	Opaque
	HTTP1
	HTTP2 // the connection preface of prior-knowledge HTTP/2 (RFC 9113, section 3.4)
	TLS   // a TLS ClientHello
	Closed
)

// String is the kind's name in metrics.
func (k Kind) String() string {
	return [...]string{"silent", "opaque", "http1", "http2", "tls", "closed"}[k]
}

// Verdict is what was found.
type Verdict struct {
	Kind Kind
	// SNI and ALPN are what a ClientHello asks for.
	SNI  string
	ALPN []string
	// Whole says that the ClientHello was read to its end: what it does not ask for is really not there.
	Whole bool
}

// Limits.
const (
	// Wait is how long a client may be silent before the upstream is opened: less than people notice.
	Wait = 100 * time.Millisecond
	// helloWait is for the rest of a ClientHello whose first bytes are there: TLS is never server-first.
	helloWait = 5 * time.Second
	// lineWait is the same for whatever else has begun, where clients may be silent for longer: one byte must not buy the
	// patience that silence has.
	lineWait = 5 * time.Second
	// maxPeek bounds what is read ahead: a ClientHello with post-quantum key shares has about 2 KiB, request lines are
	// decided early.
	maxPeek = 16<<10 + 5
	// firstPeek is the first buffer: enough for almost every head, small for idle connections.
	firstPeek = 2 << 10
)

// Sniff looks at the first bytes, for wait at most; a negative wait means: until the client says something. An error
// means that the connection is broken. The connection goes on as the returned Conn, which gives the bytes again.
func Sniff(conn net.Conn, wait time.Duration) (*Conn, Verdict, error) {
	c := &Conn{Conn: conn}
	verdict, err := c.Sniff(wait)
	return c, verdict, err
}

// Sniff looks again, for a connection that was silent.
func (c *Conn) Sniff(wait time.Duration) (Verdict, error) {
	// Errors of setting deadlines come again from Read.
	if wait >= 0 {
		_ = c.SetReadDeadline(time.Now().Add(wait))
		defer func() { _ = c.SetReadDeadline(time.Time{}) }()
	}
	hello, line := false, wait <= lineWait
	for {
		if len(c.peeked) > 0 {
			verdict, decided := classify(c.peeked)
			if decided {
				return verdict, nil
			}
			switch {
			case verdict.Kind == TLS && !hello:
				hello = true
				_ = c.SetReadDeadline(time.Now().Add(helloWait))
				defer func() { _ = c.SetReadDeadline(time.Time{}) }()
			case verdict.Kind != TLS && !line:
				line = true
				_ = c.SetReadDeadline(time.Now().Add(lineWait))
			}
			if len(c.peeked) >= maxPeek {
				return guess(c.peeked, verdict), nil
			}
		}
		more := c.more
		if len(c.peeked) == 0 && wait > lineWait {
			more = c.first
		}
		if err := more(); err != nil {
			return c.ended(err)
		}
	}
}

// ended turns the end of reading into a verdict about what was read before.
func (c *Conn) ended(err error) (Verdict, error) {
	timedOut := errors.Is(err, os.ErrDeadlineExceeded)
	switch {
	case len(c.peeked) == 0 && timedOut:
		return Verdict{Kind: Silent}, nil
	case len(c.peeked) == 0 && errors.Is(err, io.EOF):
		c.eof = true
		return Verdict{Kind: Closed}, nil
	case timedOut || errors.Is(err, io.EOF):
		c.eof = !timedOut
		undecided, _ := classify(c.peeked)
		return guess(c.peeked, undecided), nil
	default:
		return Verdict{Kind: Closed}, err
	}
}

// first waits for one byte, for clients that may be silent for long: they hold no buffer meanwhile.
func (c *Conn) first() error {
	n, err := c.Conn.Read(c.one[:])
	if n > 0 {
		c.peeked = append(make([]byte, 0, firstPeek), c.one[0])
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

func (c *Conn) more() error {
	if c.peeked == nil {
		c.peeked = make([]byte, 0, firstPeek)
	}
	if len(c.peeked) == cap(c.peeked) {
		grown := make([]byte, len(c.peeked), min(4*cap(c.peeked), maxPeek))
		copy(grown, c.peeked)
		c.peeked = grown
	}
	n, err := c.Conn.Read(c.peeked[len(c.peeked):cap(c.peeked)])
	c.peeked = c.peeked[:len(c.peeked)+n]
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}
