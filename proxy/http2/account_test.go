package http2

import (
	"strings"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/leno-mesh/leno/proxy/msg"
)

var plainGet = &msg.Request{Method: []byte("GET"), Authority: []byte("cart.shop"), Path: []byte("/"), Minor: 1}

// The octets of streams that nobody consumes must not keep from the peer what others have consumed.
func TestConnectionWindowIsGivenBackThoughSomeHoldIt(t *testing.T) {
	k := server(t)
	held := 0
	for id := uint32(1); held+StreamWindow <= ConnWindow/2+StreamWindow; id += 2 {
		k.headers(id, false, ":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/")
		for range StreamWindow / MaxFrame {
			_ = k.fr.WriteData(id, false, make([]byte, MaxFrame))
		}
		k.feed()
		held += StreamWindow
	}
	k.took()
	k.frames()
	const busy = 1001
	k.headers(busy, false, ":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/")
	left := ConnWindow - held
	for left > 0 {
		_ = k.fr.WriteData(busy, false, make([]byte, MaxFrame))
		k.feed()
		k.c.Consume(busy, MaxFrame)
		left -= MaxFrame
	}
	if frames := k.frames(); !strings.Contains(frames, "WINDOW_UPDATE 0 ") {
		t.Errorf("the connection's window is used up and nothing of it came back: %q", frames)
	}
}

// A client's owner may hold the body of a response whose stream has ended; it counts until it is consumed or given up.
func TestEndedStreamsHoldTheConnectionWindow(t *testing.T) {
	for _, giveUp := range []bool{false, true} {
		k := client(t)
		for range 8 {
			id := k.c.Open(nil, 0, plainGet, true)
			k.headers(id, false, ":status", "200")
			for i := range StreamWindow / MaxFrame {
				_ = k.fr.WriteData(id, i == StreamWindow/MaxFrame-1, make([]byte, MaxFrame))
			}
			k.feed()
		}
		if n := k.c.Streams(); n != 0 {
			t.Fatalf("%d streams are open", n)
		}
		if frames := k.frames(); strings.Contains(frames, "WINDOW_UPDATE 0 ") {
			t.Errorf("window was given back for octets that are still kept")
		}
		for id := uint32(1); id < 16; id += 2 {
			if giveUp {
				k.c.Reset(id, Cancel)
			} else {
				k.c.Consume(id, StreamWindow)
			}
			k.c.Consume(id, StreamWindow) // once is enough
			k.c.Reset(id, Cancel)
		}
		if frames := k.frames(); frames != "WINDOW_UPDATE 0 2097152" {
			t.Errorf("give up %v: %q", giveUp, frames)
		}
	}
}

// A stream that moves is not stalled, however slowly, and although it waits whenever somebody looks.
func TestStalledLooksAtProgress(t *testing.T) {
	k := server(t)
	k.get(1)
	if !k.c.Respond(1, &msg.Response{Status: 200, Announced: -1}, false) {
		t.Fatal("no stream")
	}
	p := make([]byte, 1<<20)
	p = p[k.c.Send(1, p, true):]
	for range 20 {
		if events := k.c.Stalled(3, nil); len(events) > 0 {
			t.Fatal("a stream that moves was reset")
		}
		_ = k.fr.WriteWindowUpdate(0, 1000)
		_ = k.fr.WriteWindowUpdate(1, 1000)
		k.feed()
		k.frames()
		for _, ev := range k.c.Unblock(nil) {
			k.events = append(k.events, word(&ev))
		}
		if events := k.took(); !strings.Contains(events, "writable 1") {
			t.Fatalf("events %q", events)
		}
		p = p[k.c.Send(1, p, true):]
	}
	for range 3 {
		if k.c.Streams() == 0 {
			t.Fatal("reset too early")
		}
		k.c.Stalled(3, nil)
	}
	if k.c.Streams() != 0 || k.frames() != "DATA 1 1000, RST_STREAM 1 CANCEL" {
		t.Error("a stream that does not move lives on")
	}
}

// Streams that waited for the connection's window and are gone leave nothing behind.
func TestQueueOfBlockedStreamsIsBounded(t *testing.T) {
	k := server(t)
	for id := uint32(1); id < 20_001; id += 2 {
		k.get(id)
		k.answer(id, initialWindow)
		_ = k.fr.WriteRSTStream(id, xhttp2.ErrCodeCancel)
		k.feed()
		k.c.TakeOut(nil)
	}
	if n := len(k.c.blocked); n > 2*MaxStreams {
		t.Errorf("%d streams wait, none is open", n)
	}
}

// What a budget refills by time counts from the beginning.
func TestBudgetsFillFromTheBeginning(t *testing.T) {
	k := server(t)
	for range 3 * controlBurst {
		_ = k.fr.WritePing(false, [8]byte{})
		k.feed()
		k.c.TakeOut(nil)
		if k.now = k.now.Add(10 * time.Second); k.err != nil {
			t.Fatal(k.err)
		}
	}
}

// The last words name the last request that was taken.
func TestGoAwayNamesTheLastServed(t *testing.T) {
	k := server(t)
	k.get(1)
	k.c.Shutdown(true)
	k.get(3) // crossed it
	k.wants("request 1 GET cart.shop/ end", "GOAWAY 1 NO_ERROR")
	_ = k.fr.WriteData(3, true, []byte("late"))
	k.feed()
	k.wants("", "") // it knows, or will
	_ = k.fr.WritePing(false, [8]byte{})
	_ = k.fr.WriteData(0, true, nil)
	k.feed()
	k.wants("reset 1 connection lost", "PING ack, GOAWAY 1 PROTOCOL_ERROR")
}

// An HTTP/1.0 request may name no host; then there is no :authority either (RFC 9113 section 8.3.1).
func TestEmptyAuthorityIsLeftOut(t *testing.T) {
	k := newTalk(t, NewClient())
	k.c.TakeOut(nil)
	k.c.Open(nil, 0, &msg.Request{Method: []byte("GET"), Path: []byte("/a")}, true)
	out := k.c.TakeOut(nil)
	fields, err := k.dec.DecodeFull(out[frameHead:])
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		if f.Name == ":authority" {
			t.Errorf("%v", fields)
		}
	}
}

// A backend that resets a stream by an unknown code, or by one of ours, does not claim that the connection is lost.
func TestOnlyLostConnectionsAreLost(t *testing.T) {
	for _, code := range []xhttp2.ErrCode{xhttp2.ErrCodeInternal, 0x1234, xhttp2.ErrCode(Lost)} {
		k := client(t)
		id := k.c.Open(nil, 0, plainGet, true)
		_ = k.fr.WriteRSTStream(id, code)
		k.feed()
		if events := k.took(); events != "reset 1 INTERNAL_ERROR" {
			t.Errorf("%v: %s", code, events)
		}
	}
}

// Events come in the order of streams, so that the same octets have the same effect.
func TestEventsAreInOrder(t *testing.T) {
	k := client(t)
	for range 20 {
		k.c.Open(nil, 0, plainGet, true)
	}
	_ = k.fr.WriteGoAway(21, xhttp2.ErrCodeNo, nil)
	k.feed()
	want := "reset 23 REFUSED_STREAM unprocessed"
	if events := k.took(); !strings.HasPrefix(events, want) || !strings.HasSuffix(events, "reset 39 REFUSED_STREAM unprocessed") {
		t.Errorf("%s", events)
	}
	var events []string
	for _, ev := range k.c.Abandon(nil) {
		events = append(events, word(&ev))
	}
	if events[0] != "reset 1 connection lost" || events[10] != "reset 21 connection lost" {
		t.Errorf("%s", events)
	}
}

// A peer that opens its windows wide and does not read makes its own streams wait.
func TestHighWater(t *testing.T) {
	k := server(t)
	_ = k.fr.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: maxWindow})
	_ = k.fr.WriteWindowUpdate(0, maxWindow-initialWindow)
	for id := uint32(1); id < 2*MaxStreams; id += 2 {
		k.get(id)
		k.answer(id, 1<<20)
	}
	if n := len(k.c.Out()); n > HighWater+2*MaxFrame+100*MaxStreams {
		t.Errorf("%d octets wait for a peer that does not read", n)
	}
	k.c.TakeOut(nil)
	if events := k.c.Unblock(nil); len(events) < MaxStreams-20 {
		t.Errorf("%d streams are told that the socket takes more", len(events))
	}
}

// Requests do not go to a connection whose window is held by a few streams that nobody consumes.
func TestHeldConnectionsAreNotUsable(t *testing.T) {
	k := client(t)
	hold := func(id uint32) {
		k.headers(id, false, ":status", "200")
		for range StreamWindow / MaxFrame {
			_ = k.fr.WriteData(id, false, make([]byte, MaxFrame))
		}
		k.feed()
	}
	for range ConnWindow/StreamWindow/2 + 1 {
		if !k.c.Usable() {
			t.Fatal("not usable too early")
		}
		hold(k.c.Open(nil, 0, plainGet, true))
	}
	if k.c.Usable() {
		t.Error("usable, although more than half of the window is held")
	}
	k.c.Consume(1, StreamWindow)
	if !k.c.Usable() {
		t.Error("not usable, although the window is free")
	}
}
