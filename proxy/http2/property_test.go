package http2

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/leno-mesh/leno/proxy/msg"
)

// end is one machine of a conversation and what it has of each stream.
type end struct {
	t     *testing.T
	c     *Conn
	in    []byte // on its way to this end
	owed  map[uint32]int
	left  map[uint32][]byte // still to be sent
	got   map[uint32][]byte
	over  map[uint32]int // ends of the peer's half
	heads map[uint32]int
}

func newEnd(t *testing.T, c *Conn) *end {
	return &end{t: t, c: c, owed: map[uint32]int{}, left: map[uint32][]byte{}, got: map[uint32][]byte{}, over: map[uint32]int{}, heads: map[uint32]int{}}
}

// Response, Data and the others take the events of a stream; its number is the token.
func (e *end) Response(id uint32, r *msg.Response, end bool) {
	if r.Status >= 200 {
		e.heads[id]++
	}
	e.note(id, nil, end)
}
func (e *end) Data(id uint32, p []byte, end bool) { e.note(id, p, end) }
func (e *end) Trailers(id uint32, _ msg.Fields)   { e.note(id, nil, true) }
func (e *end) Reset(id uint32, code Code, _ bool) { e.t.Errorf("stream %d was reset by %v", id, code) }
func (e *end) Writable(id uint32)                 { e.send(id) }
func (e *end) note(id uint32, p []byte, end bool) {
	e.got[id] = append(e.got[id], p...)
	e.owed[id] += len(p)
	if end {
		e.over[id]++
	}
}

func (e *end) send(id uint32) {
	if p, ok := e.left[id]; ok {
		if e.left[id] = p[e.c.Send(id, p, true):]; len(e.left[id]) == 0 {
			delete(e.left, id)
		}
	}
}

// body is the octets of one direction of a stream.
func bodyOf(id uint32, salt byte, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(id)*31 + salt + byte(i) + byte(i>>8)*7
	}
	return b
}

// converse lets two machines talk by chance, and returns a digest of all that was on the wire.
func converse(t *testing.T, seed uint64, requests int) [32]byte {
	r := rand.New(rand.NewPCG(seed, 1))
	client, server := newEnd(t, NewClient()), newEnd(t, NewServer())
	wire := sha256.New()
	sizes := []int{0, 1, 100, MaxFrame, MaxFrame + 1, StreamWindow + 1000}
	asked, answered := map[uint32]int{}, map[uint32]int{}
	now := time.Unix(1e9, 0)

	deliver := func(from, to *end) {
		out := from.c.TakeOut(nil)
		wire.Write(out)
		to.in = append(to.in, out...)
		for _, ev := range from.c.Unblock(nil) {
			ev.Deliver()
		}
		part := len(to.in)
		if r.IntN(2) == 0 && part > 0 {
			part = r.IntN(part)
		}
		in := to.in[:part]
		for len(in) > 0 {
			n, err := to.c.Next(in, now)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			for i := range to.c.Events {
				ev := &to.c.Events[i]
				if ev.Kind != Opened {
					ev.Deliver()
					continue
				}
				to.c.Own(ev.Stream, to, ev.Stream)
				to.note(ev.Stream, nil, ev.End)
				size := sizes[r.IntN(len(sizes))]
				answered[ev.Stream] = size
				to.left[ev.Stream] = bodyOf(ev.Stream, 2, size)
			}
			if n == 0 {
				break
			}
			in = in[n:]
		}
		to.in = append([]byte(nil), to.in[part-len(in):]...)
	}
	consume := func(e *end, all bool) {
		for id := uint32(1); id <= uint32(2*requests); id += 2 {
			if n := e.owed[id]; n > 0 && (all || r.IntN(3) == 0) {
				if !all {
					n = 1 + r.IntN(n)
				}
				e.c.Consume(id, n)
				e.owed[id] -= n
			}
		}
	}
	respond := func(share int) {
		for id := uint32(1); id <= uint32(2*requests); id += 2 {
			if _, waits := server.left[id]; !waits || server.heads[id] > 0 || r.IntN(share) > 0 {
				continue
			}
			server.heads[id]++
			if r.IntN(4) == 0 {
				server.c.Respond(id, &msg.Response{Status: 103, Announced: -1}, false)
			}
			server.c.Respond(id, &msg.Response{Status: 200, Announced: -1, Body: msg.Body{Kind: msg.Sized, Length: int64(answered[id])}}, false)
			server.send(id)
		}
	}
	for step := 0; len(client.over) < requests || len(server.over) < requests; step++ {
		if step > 200_000 {
			t.Fatalf("seed %d: the conversation stands still: %d and %d of %d are over", seed, len(client.over), len(server.over), requests)
		}
		switch r.IntN(6) {
		case 0:
			if len(asked) < requests && client.c.Usable() {
				size := sizes[r.IntN(len(sizes))]
				id := client.c.Open(client, uint32(2*len(asked)+1), &msg.Request{Method: []byte("POST"), Authority: []byte("a"), Path: []byte("/"), Body: msg.Body{Kind: msg.Chunked}}, false)
				asked[id] = size
				client.left[id] = bodyOf(id, 1, size)
				client.send(id)
			}
		case 1:
			respond(3)
		case 2:
			consume(client, r.IntN(4) == 0)
		case 3:
			consume(server, r.IntN(4) == 0)
		case 4:
			deliver(client, server)
		case 5:
			deliver(server, client)
		}
	}
	consume(client, true)
	consume(server, true)
	for id, size := range asked {
		if !bytes.Equal(server.got[id], bodyOf(id, 1, size)) || !bytes.Equal(client.got[id], bodyOf(id, 2, answered[id])) {
			t.Errorf("seed %d: stream %d: other octets came than were sent", seed, id)
		}
		if client.over[id] != 1 || server.over[id] != 1 {
			t.Errorf("seed %d: stream %d ended %d and %d times", seed, id, client.over[id], server.over[id])
		}
	}
	for _, e := range []*end{client, server} {
		if sum := e.c.recvWindow + e.c.recvCredit; sum != ConnWindow || len(e.c.held) > 0 || e.c.Streams() > 0 {
			t.Errorf("seed %d: window %d after all, want %d; %d are held, %d streams are open", seed, sum, ConnWindow, len(e.c.held), e.c.Streams())
		}
	}
	return [32]byte(wire.Sum(nil))
}

// Whatever the order of sending, consuming and delivering, all octets arrive, windows are kept to, and nothing is lost of them.
func TestConversationsByChance(t *testing.T) {
	for seed := range uint64(30) {
		if first, second := converse(t, seed, 30), converse(t, seed, 30); first != second {
			t.Errorf("seed %d: the same conversation had other octets the second time", seed)
		}
	}
}

// FuzzMachine feeds octets that have no meaning, or nearly, to both ends: neither panics, and what they keep is bounded.
func FuzzMachine(f *testing.F) {
	frame := func(kind FrameType, flags uint8, stream uint32, payload ...byte) []byte {
		return append(appendFrameHead(nil, len(payload), kind, flags, stream), payload...)
	}
	begin := appendSettings(nil)
	f.Add(append(bytes.Clone(begin), frame(frameHeaders, 5, 1, 0x82, 0x86, 0x84)...))
	f.Add(append(append(bytes.Clone(begin), frame(frameHeaders, 4, 1, 0x83, 0x86, 0x84)...), frame(frameData, 9, 1, 2, 'x', 0, 0)...))
	f.Add(append(append(bytes.Clone(begin), frame(frameHeaders, 0, 1, 0x83)...), frame(frameContinuation, 4, 1, 0x86, 0x84)...))
	f.Add(append(append(bytes.Clone(begin), frame(frameHeaders, 4, 1, 0x88)...), frame(frameReset, 0, 3, 0, 0, 0, 8)...))
	f.Add(append(append(bytes.Clone(begin), frame(frameWindow, 0, 0, 0, 0, 1, 0)...), frame(frameGoAway, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0)...))
	f.Add(append(append(bytes.Clone(begin), appendSettings(nil, setting{settingInitialWindow, 0}, setting{settingTableSize, 0})...), frame(framePing, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8)...))
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, c := range []*Conn{NewServer(), NewClient()} {
			data := in
			if c.server {
				data = append([]byte(preface), in...)
			} else {
				for range 3 {
					c.Open(nil, 0, plainGet, true)
				}
			}
			c.TakeOut(nil)
			now := time.Unix(1e9, 0)
			for len(data) > 0 {
				n, err := c.Next(data, now)
				for i := range c.Events {
					touch(c, &c.Events[i])
				}
				if len(c.Out()) > HighWater+maxControlOut+1<<20 || c.Streams() > MaxStreams || len(c.blocked) > 2*MaxStreams+1 {
					t.Fatalf("%d octets to be written, %d streams, %d wait", len(c.Out()), c.Streams(), len(c.blocked))
				}
				if err != nil {
					if c.Streams() != 0 || c.Usable() || !c.Ended() {
						t.Fatal("the connection goes on after an error")
					}
					break
				}
				if n == 0 {
					break
				}
				data = data[n:]
			}
		}
	})
}

// touch uses all of an event, and answers it.
func touch(c *Conn, ev *Event) {
	sum := len(ev.Data)
	for _, f := range ev.Fields {
		sum += len(f.Name) + len(f.Value)
	}
	switch ev.Kind {
	case Opened:
		c.Own(ev.Stream, nil, 0)
		c.Respond(ev.Stream, respond200, false)
		c.Send(ev.Stream, make([]byte, 100_000), sum%2 == 0)
	case Data:
		c.Consume(ev.Stream, sum)
	case Writable:
		c.Send(ev.Stream, []byte(fmt.Sprint(sum)), true)
	default: // no answer
	}
}

// exchange is one unary request and its answer, between two machines.
type exchange struct {
	client, server        *Conn
	spareClient, spareSrv []byte
	now                   time.Time
	req                   msg.Request
	resp                  msg.Response
	trailers              msg.Fields
	body                  []byte
	answered              bool
}

func (x *exchange) pump(from, to *Conn, spare []byte, each func(*Conn, *Event)) []byte {
	out := from.TakeOut(spare)
	for in := out; len(in) > 0; {
		n, err := to.Next(in, x.now)
		if err != nil || n == 0 {
			panic(fmt.Sprint(n, err))
		}
		for i := range to.Events {
			each(to, &to.Events[i])
		}
		in = in[n:]
	}
	return out
}

func (x *exchange) atServer(c *Conn, ev *Event) {
	if ev.Kind == Data {
		c.Consume(ev.Stream, len(ev.Data))
		if ev.End {
			c.Respond(ev.Stream, &x.resp, false)
			c.Send(ev.Stream, x.body, false)
			c.SendTrailers(ev.Stream, x.trailers)
		}
	}
}

func (x *exchange) atClient(c *Conn, ev *Event) {
	switch ev.Kind {
	case Data:
		c.Consume(ev.Stream, len(ev.Data))
	case Trailers:
		x.answered = true
	default:
	}
}

func (x *exchange) run() {
	x.answered = false
	id := x.client.Open(nil, 0, &x.req, false)
	x.client.Send(id, x.body, true)
	x.spareClient = x.pump(x.client, x.server, x.spareClient, x.atServer)
	x.spareSrv = x.pump(x.server, x.client, x.spareSrv, x.atClient)
	if !x.answered {
		panic("no answer")
	}
}

func newExchange() *exchange {
	x := &exchange{client: NewClient(), server: NewServer(), now: time.Unix(1e9, 0), body: make([]byte, 1024)}
	field := func(name, value string) msg.Field { return msg.Field{Name: []byte(name), Value: []byte(value)} }
	x.req = msg.Request{
		Method: []byte("POST"), Authority: []byte("cart.shop"), Path: []byte("/pkg.Service/Method"), Minor: 1, Trailers: true,
		Body:   msg.Body{Kind: msg.Chunked},
		Fields: msg.Fields{field("content-type", "application/grpc"), field("user-agent", "grpc-go/1.84.0"), field("grpc-timeout", "999m"), field("authorization", "Bearer x")},
	}
	x.resp = msg.Response{Status: 200, Announced: -1, Fields: msg.Fields{field("content-type", "application/grpc"), field("date", "today")}}
	x.trailers = msg.Fields{field("grpc-status", "0"), field("grpc-message", "")}
	for range 100 {
		x.run()
	}
	return x
}

func TestUnaryExchangesDoNotAllocate(t *testing.T) {
	x := newExchange()
	if n := testing.AllocsPerRun(1000, x.run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkUnaryExchange(b *testing.B) {
	x := newExchange()
	b.ReportAllocs()
	for b.Loop() {
		x.run()
	}
}
