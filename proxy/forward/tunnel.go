package forward

import (
	"errors"
	"io"
	"net"
	"time"

	"github.com/leno-mesh/leno/proxy/fail"
	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/msg"
)

// connects tells whether a request asks for a tunnel by CONNECT (RFC 9110 section 9.3.6).
func (x *exchange) connects() bool { return string(x.req.Method) == "CONNECT" }

// opened tells whether the response opens the tunnel that its request asked for.
func (x *exchange) opened() bool {
	return x.resp.Status == 101 || x.connects() && x.resp.Status/100 == 2
}

// tunnel passes 101 Switching Protocols, or the answer to CONNECT, on and then bytes, both ways, until both sides are done. It lives as long as
// its ends want, whatever happens to the configuration.
func (s *session) tunnel() error {
	x := s.x
	if x.connects() && x.resp.Status != 101 {
		// What the response says of a body means nothing (RFC 9110 section 9.3.6).
		x.resp.Body, x.resp.Announced, x.resp.Close = msg.Body{}, -1, false
	} else if x.req.Upgrade == nil || x.resp.Upgrade == nil || !x.body.done {
		return &fail.Error{Kind: fail.UpstreamGarbage, Detail: "101 to a request that cannot switch protocols"}
	}
	x.stay.change(&x.resp, x.layers, x.endpoint)
	x.out = http1.AppendResponse(x.out[:0], &x.resp, false)
	x.out = append(x.out, x.up.data()...)
	x.rec.BytesOut += int64(len(x.up.data()))
	if err := s.write(x.out, time.Now(), time.Time{}); err != nil {
		return s.clientFailed(err)
	}
	x.rec.Code = x.resp.Status
	x.req.Close = true
	s.conn.SetDeadline(time.Time{})
	x.conn.SetDeadline(time.Time{})

	sent := make(chan int64)
	go func() { sent <- carry(x.conn, s.conn, &x.in) }()
	x.up.consume(len(x.up.data()))
	x.rec.BytesOut += carry(s.conn, x.conn, &x.up)
	x.rec.BytesIn += <-sent
	return nil
}

// carry copies from one connection to the other, beginning with what was read before, and passes the end on: an
// orderly end as half-close, anything else as the end of both.
func carry(to, from net.Conn, b *reader) (n int64) {
	for {
		if data := b.data(); len(data) > 0 {
			m, err := to.Write(data)
			n += int64(m)
			if err != nil {
				break
			}
			b.consume(len(data))
		}
		b.rewind()
		err := b.fill(from)
		if err == nil {
			continue
		}
		half, ok := to.(interface{ CloseWrite() error })
		if errors.Is(err, io.EOF) && ok && half.CloseWrite() == nil {
			return n
		}
		break
	}
	to.Close()
	from.Close()
	return n
}
