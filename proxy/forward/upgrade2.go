package forward

import (
	"crypto/sha1" //nolint:gosec // RFC 6455 prescribes it; nothing secret depends on it
	"encoding/base64"
	"errors"
	"io"

	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/msg"
)

// webSocketKey takes Sec-WebSocket-Key out of an upgrade, for which extended CONNECT has no use (RFC 8441 section 5), and returns the
// answer to it (RFC 6455 section 4.2.2); empty for other upgrades.
func webSocketKey(fields *msg.Fields) []byte {
	key, ok := fields.Get("sec-websocket-key")
	if !ok {
		return nil
	}
	sum := sha1.Sum(append(append([]byte{}, key...), "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"...)) //nolint:gosec // see above
	fields.Remove("sec-websocket-key")
	return []byte(base64.StdEncoding.EncodeToString(sum[:]))
}

// tunnel2 answers an upgrade with 101 after the backend took the extended CONNECT, and passes octets both ways.
func (s *session) tunnel2(a *asked, resp *msg.Response, accept []byte) error {
	x := s.x
	resp.Status, resp.Reason, resp.Upgrade, resp.Body, resp.Announced = 101, []byte("Switching Protocols"), x.req.Upgrade, msg.Body{}, -1
	if accept != nil {
		resp.Fields.Add([]byte("Sec-WebSocket-Accept"), accept)
	}
	x.rec.Code = 101
	x.req.Close = true
	x.out = http1.AppendResponse(x.out[:0], resp, false)
	if err := s.write(x.out, x.now, x.until); err != nil {
		return s.clientFailed(err)
	}
	s.conn.SetDeadline(noDeadline)
	sent := make(chan int64, 1)
	go func() { sent <- s.sendTunnel(a) }()
	for {
		a.wait(farAway(), func() bool { return a.ended || !a.body.empty() })
		out, done, failure := a.take(x.out[:0], largeBuffer)
		x.out = out
		x.rec.BytesOut += int64(len(out))
		if _, err := s.conn.Write(out); err != nil || failure != nil {
			_ = s.conn.Close()
			break
		}
		if done {
			half, ok := s.conn.(interface{ CloseWrite() error })
			if !ok || half.CloseWrite() != nil {
				_ = s.conn.Close()
			}
			break
		}
	}
	x.rec.BytesIn += <-sent
	return nil
}

// sendTunnel carries what the client sends to the backend until either is done.
func (s *session) sendTunnel(a *asked) (n int64) {
	in := &s.x.in
	for {
		data := in.data()
		n += int64(len(data))
		if len(data) > 0 && !a.send(data, false) {
			break
		}
		in.consume(len(data))
		in.rewind()
		if err := in.fill(s.conn); err == nil {
			continue
		} else if errors.Is(err, io.EOF) {
			a.send(nil, true)
			return n
		}
		break
	}
	a.drop(cancelCode)
	_ = s.conn.Close()
	return n
}
