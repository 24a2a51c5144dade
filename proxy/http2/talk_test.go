package http2

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/leno-mesh/leno/proxy/msg"
)

// talk is a machine whose peer is written frame by frame, with x/net's encoders.
type talk struct {
	t     *testing.T
	c     *Conn
	now   time.Time
	out   bytes.Buffer // to the machine
	fr    *xhttp2.Framer
	block bytes.Buffer
	enc   *hpack.Encoder
	dec   *hpack.Decoder
	err   *Error // that ended the connection
	// events in words, in order
	events []string
}

func newTalk(t *testing.T, c *Conn) *talk {
	k := &talk{t: t, c: c, now: time.Unix(1e9, 0)}
	k.fr = xhttp2.NewFramer(&k.out, nil)
	k.fr.AllowIllegalWrites = true
	k.enc = hpack.NewEncoder(&k.block)
	k.dec = hpack.NewDecoder(4096, nil)
	return k
}

// server is a talk with a server whose connection has begun.
func server(t *testing.T) *talk {
	k := newTalk(t, NewServer())
	k.out.WriteString(preface)
	_ = k.fr.WriteSettings()
	k.feed()
	k.frames()
	return k
}

// client is a talk with a client whose connection has begun.
func client(t *testing.T) *talk {
	k := newTalk(t, NewClient())
	k.c.TakeOut(nil)
	_ = k.fr.WriteSettings()
	k.feed()
	k.frames()
	return k
}

// feed gives the machine what was written.
func (k *talk) feed() {
	k.t.Helper()
	for in := k.out.Bytes(); len(in) > 0; {
		n, err := k.c.Next(in, k.now)
		for i := range k.c.Events {
			k.events = append(k.events, word(&k.c.Events[i]))
		}
		if err != nil {
			if !errors.As(err, &k.err) {
				k.t.Fatalf("an error that is no *Error: %v", err)
			}
			break
		}
		if n == 0 {
			k.t.Fatalf("%d octets are left", len(in))
		}
		in = in[n:]
	}
	k.out.Reset()
}

// word is an event in words.
func word(e *Event) string {
	end := ""
	if e.End {
		end = " end"
	}
	switch e.Kind {
	case Opened:
		if e.Status != 0 {
			return fmt.Sprintf("request %d refused with %d%s", e.Stream, e.Status, end)
		}
		return fmt.Sprintf("request %d %s %s%s%s", e.Stream, e.Request.Method, e.Request.Authority, e.Request.Path, end)
	case Head:
		return fmt.Sprintf("response %d %d%s", e.Stream, e.Response.Status, end)
	case Data:
		return fmt.Sprintf("data %d %d%s", e.Stream, len(e.Data), end)
	case Trailers:
		return fmt.Sprintf("trailers %d %d", e.Stream, len(e.Fields))
	case Reset:
		if e.Unprocessed {
			return fmt.Sprintf("reset %d %s unprocessed", e.Stream, e.Code)
		}
		return fmt.Sprintf("reset %d %s", e.Stream, e.Code)
	case Writable:
		return fmt.Sprintf("writable %d", e.Stream)
	default:
		return "nothing"
	}
}

// took returns the events since it was called last.
func (k *talk) took() string {
	all := strings.Join(k.events, ", ")
	k.events = k.events[:0]
	return all
}

// frames returns what the machine has written, in words.
func (k *talk) frames() string {
	k.t.Helper()
	out := k.c.TakeOut(nil)
	out = bytes.TrimPrefix(out, []byte(preface))
	r := xhttp2.NewFramer(nil, bytes.NewReader(out))
	var words []string
	for {
		f, err := r.ReadFrame()
		if err != nil {
			return strings.Join(words, ", ")
		}
		words = append(words, k.frameWord(f))
	}
}

func (k *talk) frameWord(f xhttp2.Frame) string {
	id := f.Header().StreamID
	end := ""
	switch f := f.(type) {
	case *xhttp2.HeadersFrame:
		if f.StreamEnded() {
			end = " end"
		}
		fields, err := k.dec.DecodeFull(f.HeaderBlockFragment())
		if err != nil {
			k.t.Errorf("field block: %v", err)
		}
		return fmt.Sprintf("HEADERS %d %s%s", id, fields[0].Value, end)
	case *xhttp2.DataFrame:
		if f.StreamEnded() {
			end = " end"
		}
		return fmt.Sprintf("DATA %d %d%s", id, len(f.Data()), end)
	case *xhttp2.RSTStreamFrame:
		return fmt.Sprintf("RST_STREAM %d %s", id, Code(f.ErrCode))
	case *xhttp2.GoAwayFrame:
		return fmt.Sprintf("GOAWAY %d %s", f.LastStreamID, Code(f.ErrCode))
	case *xhttp2.WindowUpdateFrame:
		return fmt.Sprintf("WINDOW_UPDATE %d %d", id, f.Increment)
	case *xhttp2.SettingsFrame:
		if f.IsAck() {
			return "SETTINGS ack"
		}
		return "SETTINGS"
	case *xhttp2.PingFrame:
		if f.IsAck() {
			return "PING ack"
		}
		return "PING"
	}
	return f.Header().Type.String()
}

// fields encodes a field section.
func (k *talk) fields(pairs ...string) []byte {
	k.block.Reset()
	for i := 0; i < len(pairs); i += 2 {
		_ = k.enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return bytes.Clone(k.block.Bytes())
}

var getFields = []string{":method", "GET", ":scheme", "http", ":authority", "cart.shop", ":path", "/"}

func (k *talk) headers(id uint32, end bool, pairs ...string) {
	_ = k.fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: k.fields(pairs...), EndStream: end, EndHeaders: true})
}

// get is a whole request, fed.
func (k *talk) get(id uint32) {
	k.t.Helper()
	k.headers(id, true, getFields...)
	k.feed()
}

// answer is a whole answer of the machine.
func (k *talk) answer(id uint32, body int) {
	k.t.Helper()
	r := &msg.Response{Status: 200, Announced: -1}
	if !k.c.Respond(id, r, body == 0) {
		k.t.Fatalf("stream %d takes no response", id)
	}
	if body > 0 {
		k.c.Send(id, make([]byte, body), true)
	}
}

// wants fails the test where the events or frames are not these.
func (k *talk) wants(events, frames string) {
	k.t.Helper()
	if got := k.took(); got != events {
		k.t.Errorf("events %q, want %q", got, events)
	}
	if got := k.frames(); got != frames {
		k.t.Errorf("frames %q, want %q", got, frames)
	}
}

var respond200 = &msg.Response{Status: 200, Announced: -1}
