package http2

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"
)

// floodsOf are what a hostile peer does in a loop, with the defence that must end it. limit is how many rounds are tolerated.
var floodsOf = []struct {
	name, flood string
	limit       int
	round       func(k *talk, id uint32)
}{
	{"rapid reset (CVE-2023-44487)", "rapid_reset", resetBurst, func(k *talk, id uint32) {
		k.headers(id, true, getFields...)
		_ = k.fr.WriteRSTStream(id, xhttp2.ErrCodeCancel)
	}},
	{"resets that we are made to send by DATA after the end (CVE-2025-8671)", "malformed", resetBurst, func(k *talk, id uint32) {
		k.headers(id, true, getFields...)
		_ = k.fr.WriteData(id, false, []byte("x"))
	}},
	{"the same by HEADERS after the end", "malformed", resetBurst, func(k *talk, id uint32) {
		k.headers(id, true, getFields...)
		k.headers(id, true, "a", "b")
	}},
	{"the same by WINDOW_UPDATE of 0", "malformed", resetBurst, func(k *talk, id uint32) {
		k.headers(id, true, getFields...)
		_ = k.fr.WriteWindowUpdate(id, 0)
	}},
	{"the same by a window that overflows", "malformed", resetBurst, func(k *talk, id uint32) {
		k.headers(id, true, getFields...)
		_ = k.fr.WriteWindowUpdate(id, 1<<31-1)
	}},
	{"the same by PRIORITY of a wrong size", "malformed", resetBurst, func(k *talk, id uint32) {
		k.headers(id, true, getFields...)
		_ = k.fr.WriteRawFrame(xhttp2.FramePriority, 0, id, []byte{1})
	}},
	{"the same by PRIORITY that depends on itself", "malformed", resetBurst, func(k *talk, id uint32) {
		k.headers(id, true, getFields...)
		_ = k.fr.WritePriority(id, xhttp2.PriorityParam{StreamDep: id})
	}},
	{"the same by a body that is longer than promised", "malformed", resetBurst, func(k *talk, id uint32) {
		k.headers(id, false, ":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/", "content-length", "1")
		_ = k.fr.WriteData(id, false, []byte("xx"))
	}},
	{"malformed requests", "malformed", resetBurst, func(k *talk, id uint32) { k.headers(id, true, "a", "b") }},
	{"more streams than allowed", "malformed", resetBurst + MaxStreams, func(k *talk, id uint32) { k.headers(id, true, getFields...) }},
	{"PING", "ping", controlBurst, func(k *talk, _ uint32) { _ = k.fr.WritePing(false, [8]byte{}) }},
	{"PING answers", "ping", controlBurst, func(k *talk, _ uint32) { _ = k.fr.WritePing(true, [8]byte{}) }},
	{"SETTINGS", "settings", controlBurst, func(k *talk, _ uint32) { _ = k.fr.WriteSettings() }},
	{"PRIORITY", "priority", controlBurst, func(k *talk, id uint32) { _ = k.fr.WritePriority(id, xhttp2.PriorityParam{}) }},
	{"GOAWAY", "goaway", controlBurst, func(k *talk, _ uint32) { _ = k.fr.WriteGoAway(0, xhttp2.ErrCodeNo, nil) }},
	{"WINDOW_UPDATE of the connection", "window_update", controlBurst, func(k *talk, _ uint32) { _ = k.fr.WriteWindowUpdate(0, 1) }},
	{"unknown types", "unknown_frames", controlBurst, func(k *talk, _ uint32) { _ = k.fr.WriteRawFrame(0xbe, 0, 0, nil) }},
	{"empty DATA", "empty_frames", controlBurst, func(k *talk, id uint32) {
		if id == 1 {
			k.headers(1, false, ":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/")
		}
		_ = k.fr.WriteData(1, false, nil)
	}},
	{"padding without content", "empty_frames", controlBurst, func(k *talk, id uint32) {
		if id == 1 {
			k.headers(1, false, ":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/")
		}
		_ = k.fr.WriteDataPadded(1, false, nil, make([]byte, 10))
	}},
	{"DATA on a closed stream", "closed_streams", controlBurst, func(k *talk, id uint32) {
		if id == 1 {
			k.headers(1, true, getFields...)
			k.feed()
			k.answer(1, 0)
		}
		_ = k.fr.WriteData(1, false, []byte("x"))
	}},
	{"RST_STREAM of a closed stream", "rapid_reset", controlBurst, func(k *talk, id uint32) {
		if id == 1 {
			k.headers(1, true, getFields...)
			k.feed()
			k.answer(1, 0)
		}
		_ = k.fr.WriteRSTStream(1, xhttp2.ErrCodeCancel)
	}},
	{"HEADERS of a stream that we reset", "closed_streams", controlBurst, func(k *talk, id uint32) {
		if id == 1 {
			k.headers(1, false, getFields...)
			k.feed()
			k.c.Reset(1, Cancel)
		}
		k.headers(1, true, "a", "b")
	}},
	{"CONTINUATION", "continuation", maxFragments, func(k *talk, id uint32) {
		if id == 1 {
			_ = k.fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: k.fields(getFields...)})
		}
		_ = k.fr.WriteContinuation(1, false, []byte{0x80 | 6})
	}},
}

func TestFloodsEndTheConnection(t *testing.T) {
	for _, f := range floodsOf {
		t.Run(f.name, func(t *testing.T) {
			k := server(t)
			id := uint32(1)
			for rounds := 0; k.err == nil; rounds++ {
				if rounds > f.limit+f.limit/10+5 {
					t.Fatalf("%d rounds are tolerated", rounds)
				}
				f.round(k, id)
				k.feed()
				if k.err == nil {
					k.c.TakeOut(nil) // the peer reads
				}
				id += 2
			}
			if k.err.Code != EnhanceYourCalm || k.err.Flood != f.flood {
				t.Errorf("ended by %v (%s)", k.err, k.err.Flood)
			}
			if frames := k.frames(); !strings.HasSuffix(frames, "ENHANCE_YOUR_CALM") {
				t.Errorf("last words %q", frames)
			}
		})
	}
}

// What a slow loop of the same may do for ever: the budgets refill.
func TestSlowFloodsAreTolerated(t *testing.T) {
	for _, f := range floodsOf {
		if f.flood == "continuation" {
			continue // one section, whatever the time
		}
		t.Run(f.name, func(t *testing.T) {
			k := server(t)
			for id := uint32(1); id < 6*controlBurst; id += 2 {
				f.round(k, id)
				if k.feed(); k.err != nil {
					t.Fatalf("stream %d: %v", id, k.err)
				}
				if k.c.Streams() > MaxStreams/2 {
					k.c.Reset(id, Cancel)
				}
				k.c.TakeOut(nil)
				k.now = k.now.Add(time.Second / 20)
			}
		})
	}
}

func TestAnswersThatAreNotReadEndTheConnection(t *testing.T) {
	k := server(t)
	for i := 0; k.err == nil && i < 1_000_000; i++ {
		_ = k.fr.WritePing(false, [8]byte{})
		k.feed()
		k.now = k.now.Add(time.Second)
	}
	if k.err == nil || k.err.Flood != "unread_answers" {
		t.Errorf("ended by %v", k.err)
	}
	if n := len(k.c.Out()); n > maxControlOut+1000 {
		t.Errorf("%d octets wait", n)
	}
}

// One frame of SETTINGS can name the initial window more than two thousand times; all streams change only once.
func TestSettingsAreAppliedOnce(t *testing.T) {
	k := server(t)
	for id := uint32(1); id < 2*MaxStreams; id += 2 {
		k.get(id)
	}
	var payload []byte
	for i := range MaxFrame / 6 {
		payload = binary.BigEndian.AppendUint16(payload, settingInitialWindow)
		payload = binary.BigEndian.AppendUint32(payload, uint32(i%2))
	}
	k.took()
	start := time.Now()
	for range 100 {
		_ = k.fr.WriteRawFrame(xhttp2.FrameSettings, 0, 0, payload)
		k.feed()
	}
	if took := time.Since(start); took > time.Second { // a hundredth of it is usual
		t.Errorf("100 frames took %v", took)
	}
	if st := k.c.streams[1]; st.sendWindow != 1 {
		t.Errorf("window %d, want the last value", st.sendWindow)
	}
}

// A field section that is too large is answered, and never kept as a whole: neither a few octets that stand for many (HPACK bomb) nor
// plain length.
func TestLargeSectionsAreAnsweredWith431(t *testing.T) {
	for _, bomb := range []bool{true, false} {
		k := server(t)
		block := k.fields(getFields...)
		if bomb {
			block = append(block, k.fields("x-bomb", strings.Repeat("b", 4000))...)
			for len(block) < 4*MaxFrame {
				block = append(block, 0x80|62)
			}
		} else {
			for range MaxHead/4000 + 2 {
				block = append(block, k.fields("x-long", strings.Repeat("\x7f", 4000))...)
			}
		}
		flags := true
		for first := true; len(block) > 0; first = false {
			n := min(len(block), MaxFrame)
			last := n == len(block)
			if first {
				_ = k.fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:n], EndStream: flags, EndHeaders: last})
			} else {
				_ = k.fr.WriteContinuation(1, last, block[:n])
			}
			block = block[n:]
		}
		k.feed()
		k.wants("request 1 refused with 431 end", "")
		if n := cap(k.c.sect.arena) + cap(k.c.head); n > 2*MaxHead+MaxHead/2 {
			t.Errorf("%d octets are kept", n)
		}
		k.get(3)
		k.wants("request 3 GET cart.shop/ end", "")
		if n := cap(k.c.sect.arena) + cap(k.c.head); n > 4*MaxFrame {
			t.Errorf("%d octets are kept although the next request was small", n)
		}
	}
}

// Honest peers that do much of one thing.
func TestHonestPeersAreNotHit(t *testing.T) {
	t.Run("10,000 cancelled after the answer began", func(t *testing.T) {
		k := server(t)
		for id := uint32(1); id < 20_001; id += 2 {
			k.headers(id, true, getFields...)
			k.feed()
			k.c.Respond(id, respond200, false)
			_ = k.fr.WriteRSTStream(id, xhttp2.ErrCodeCancel)
			k.feed()
			k.c.TakeOut(nil)
		}
		if k.err != nil {
			t.Error(k.err)
		}
	})
	t.Run("a stream of small messages, each acknowledged by PING and WINDOW_UPDATE", func(t *testing.T) {
		k := server(t)
		k.headers(1, false, ":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/pkg.Service/Method", "te", "trailers")
		k.feed()
		k.c.Respond(1, respond200, false)
		for range 20_000 {
			_ = k.fr.WriteData(1, false, make([]byte, 7))
			_ = k.fr.WritePing(false, [8]byte{})
			_ = k.fr.WriteWindowUpdate(0, 7)
			_ = k.fr.WriteWindowUpdate(1, 7)
			k.feed()
			k.c.Consume(1, 7)
			k.c.Send(1, make([]byte, 7), false)
			k.c.TakeOut(nil)
		}
		if k.err != nil {
			t.Error(k.err)
		}
	})
	t.Run("a browser's tree of priorities with each request", func(t *testing.T) {
		k := server(t)
		for id := uint32(1); id < 10_001; id += 2 {
			_ = k.fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: k.fields(getFields...), EndStream: true, EndHeaders: true,
				Priority: xhttp2.PriorityParam{StreamDep: id - 1, Weight: 41, Exclusive: true}})
			_ = k.fr.WritePriority(id, xhttp2.PriorityParam{StreamDep: 0, Weight: 200})
			_ = k.fr.WriteWindowUpdate(id, 1<<20)
			k.feed()
			k.answer(id, 100)
			_ = k.fr.WriteWindowUpdate(0, 100)
			k.feed()
			k.c.TakeOut(nil)
		}
		if k.err != nil {
			t.Error(k.err)
		}
	})
}
