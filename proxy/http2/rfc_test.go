package http2

import (
	"strings"
	"testing"

	xhttp2 "golang.org/x/net/http2"

	"github.com/leno-mesh/leno/proxy/msg"
)

var post = []string{":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/"}

func with(fields []string, more ...string) []string {
	return append(append([]string{}, fields...), more...)
}

// script is what a peer does, and what comes of it.
type script struct {
	name           string // begins with the section of RFC 9113
	peer           func(k *talk)
	events, frames string
}

const opened = "request 1 GET cart.shop/ end"

var serverScripts = []script{
	{"4.1 unknown types are ignored", func(k *talk) { _ = k.fr.WriteRawFrame(0x21, 0xff, 7, []byte("what")) }, "", ""},
	{"4.2 a frame that is too large", func(k *talk) { _ = k.fr.WriteRawFrame(xhttp2.FrameData, 0, 1, make([]byte, MaxFrame+1)) }, "", "GOAWAY 0 FRAME_SIZE_ERROR"},
	{"4.3 a field block that cannot be decoded", func(k *talk) {
		_ = k.fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x80}, EndHeaders: true})
	}, "", "GOAWAY 0 COMPRESSION_ERROR"},
	{"4.3 a field section is not interrupted", func(k *talk) {
		_ = k.fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: k.fields(getFields...)})
		_ = k.fr.WritePing(false, [8]byte{})
	}, "", "GOAWAY 0 PROTOCOL_ERROR"},
	{"5.1 idle: DATA", func(k *talk) { _ = k.fr.WriteData(1, false, []byte("x")) }, "", "GOAWAY 0 PROTOCOL_ERROR"},
	{"5.1 idle: RST_STREAM", func(k *talk) { _ = k.fr.WriteRSTStream(1, 0) }, "", "GOAWAY 0 PROTOCOL_ERROR"},
	{"5.1 idle: WINDOW_UPDATE", func(k *talk) { _ = k.fr.WriteWindowUpdate(1, 1) }, "", "GOAWAY 0 PROTOCOL_ERROR"},
	{"5.1 idle: CONTINUATION", func(k *talk) { _ = k.fr.WriteContinuation(1, true, nil) }, "", "GOAWAY 0 PROTOCOL_ERROR"},
	{"5.1 idle: PRIORITY is allowed", func(k *talk) { _ = k.fr.WritePriority(1, xhttp2.PriorityParam{}) }, "", ""},
	{"5.1 half-closed (remote): DATA", func(k *talk) {
		k.headers(1, true, getFields...)
		_ = k.fr.WriteData(1, false, []byte("x"))
	}, opened + ", reset 1 STREAM_CLOSED", "RST_STREAM 1 STREAM_CLOSED"},
	{"5.1 half-closed (remote): HEADERS", func(k *talk) {
		k.headers(1, true, getFields...)
		k.headers(1, true, "a", "b")
	}, opened + ", reset 1 STREAM_CLOSED", "RST_STREAM 1 STREAM_CLOSED"},
	{"5.1 half-closed (remote): WINDOW_UPDATE, PRIORITY and RST_STREAM", func(k *talk) {
		k.headers(1, true, getFields...)
		_ = k.fr.WriteWindowUpdate(1, 1)
		_ = k.fr.WritePriority(1, xhttp2.PriorityParam{})
		_ = k.fr.WriteRSTStream(1, xhttp2.ErrCodeCancel)
	}, opened + ", reset 1 CANCEL", ""},
	{"5.1 closed by both: HEADERS", func(k *talk) {
		k.get(1)
		k.answer(1, 0)
		k.headers(1, true, getFields...)
	}, opened, "HEADERS 1 200 end, GOAWAY 1 STREAM_CLOSED"},
	{"5.1 closed by both: DATA", func(k *talk) {
		k.get(1)
		k.answer(1, 0)
		_ = k.fr.WriteData(1, true, nil)
	}, opened, "HEADERS 1 200 end, RST_STREAM 1 STREAM_CLOSED"},
	{"5.1 closed by a reset of ours: whatever was under way is ignored", func(k *talk) {
		k.headers(1, false, getFields...)
		k.feed()
		k.c.Reset(1, Cancel)
		_ = k.fr.WriteData(1, false, []byte("x"))
		k.headers(1, true, "trailer", "x")
		_ = k.fr.WriteWindowUpdate(1, 5)
		_ = k.fr.WriteRSTStream(1, xhttp2.ErrCodeCancel)
	}, "request 1 GET cart.shop/", "RST_STREAM 1 CANCEL"},
	{"5.1.1 identifiers of clients are odd", func(k *talk) { k.headers(2, true, getFields...) }, "", "GOAWAY 0 PROTOCOL_ERROR"},
	{"5.1.1 identifiers grow", func(k *talk) {
		k.headers(3, true, getFields...)
		k.headers(1, true, getFields...)
	}, "request 3 GET cart.shop/ end, reset 3 connection lost", "GOAWAY 3 PROTOCOL_ERROR"},
	{"5.3.2 a stream that depends on itself", func(k *talk) {
		_ = k.fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: k.fields(getFields...), EndHeaders: true, EndStream: true, Priority: xhttp2.PriorityParam{StreamDep: 1}})
	}, "", "RST_STREAM 1 PROTOCOL_ERROR"},
	{"6.1 DATA on stream 0", func(k *talk) { _ = k.fr.WriteRawFrame(xhttp2.FrameData, 0, 0, []byte("x")) }, "", "GOAWAY 0 PROTOCOL_ERROR"},
	{"6.1 padding that is longer than the frame", func(k *talk) {
		k.headers(1, false, post...)
		_ = k.fr.WriteRawFrame(xhttp2.FrameData, flagPadded, 1, []byte{5, 'x'})
	}, "request 1 POST a/, reset 1 connection lost", "GOAWAY 1 PROTOCOL_ERROR"},
	{"6.1 padding is taken off", func(k *talk) {
		k.headers(1, false, post...)
		_ = k.fr.WriteDataPadded(1, true, []byte("abc"), make([]byte, 255))
	}, "request 1 POST a/, data 1 3 end", ""},
	{"6.2 HEADERS on stream 0", func(k *talk) { k.headers(0, true, getFields...) }, "", "GOAWAY 0 PROTOCOL_ERROR"},
	{"6.2 padding and priority of HEADERS", func(k *talk) {
		_ = k.fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: k.fields(getFields...), EndHeaders: true, EndStream: true,
			PadLength: 100, Priority: xhttp2.PriorityParam{StreamDep: 7, Weight: 1}})
	}, opened, ""},
	{"6.2 HEADERS that is too short for its priority", func(k *talk) {
		_ = k.fr.WriteRawFrame(xhttp2.FrameHeaders, flagPriority|flagEndHeaders, 1, []byte{0, 0, 0})
	}, "", "GOAWAY 0 FRAME_SIZE_ERROR"},
	{"6.3 PRIORITY on stream 0", func(k *talk) { _ = k.fr.WriteRawFrame(xhttp2.FramePriority, 0, 0, make([]byte, 5)) }, "", "GOAWAY 0 PROTOCOL_ERROR"},
	{"6.3 PRIORITY of a wrong size is an error of its stream", func(k *talk) {
		k.headers(1, false, getFields...)
		_ = k.fr.WriteRawFrame(xhttp2.FramePriority, 0, 1, make([]byte, 4))
	}, "request 1 GET cart.shop/, reset 1 FRAME_SIZE_ERROR", "RST_STREAM 1 FRAME_SIZE_ERROR"},
	{"6.4 RST_STREAM of a wrong size", func(k *talk) {
		k.headers(1, false, getFields...)
		_ = k.fr.WriteRawFrame(xhttp2.FrameRSTStream, 0, 1, make([]byte, 3))
	}, "request 1 GET cart.shop/, reset 1 connection lost", "GOAWAY 1 FRAME_SIZE_ERROR"},
	{"6.4 RST_STREAM on stream 0", func(k *talk) { _ = k.fr.WriteRawFrame(xhttp2.FrameRSTStream, 0, 0, make([]byte, 4)) }, "", "GOAWAY 0 PROTOCOL_ERROR"},
	{"6.5 SETTINGS are acknowledged", func(k *talk) { _ = k.fr.WriteSettings(xhttp2.Setting{ID: 0x77, Val: 1}) }, "", "SETTINGS ack"},
	{"6.5 an acknowledgement has no content", func(k *talk) { _ = k.fr.WriteRawFrame(xhttp2.FrameSettings, flagAck, 0, make([]byte, 6)) }, "", "GOAWAY 0 FRAME_SIZE_ERROR"},
	{"6.5 SETTINGS on a stream", func(k *talk) { _ = k.fr.WriteRawFrame(xhttp2.FrameSettings, 0, 1, nil) }, "", "GOAWAY 0 PROTOCOL_ERROR"},
	{"6.5 SETTINGS of a wrong size", func(k *talk) { _ = k.fr.WriteRawFrame(xhttp2.FrameSettings, 0, 0, make([]byte, 5)) }, "", "GOAWAY 0 FRAME_SIZE_ERROR"},
	{"6.5.2 ENABLE_PUSH is 0 or 1", func(k *talk) { _ = k.fr.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingEnablePush, Val: 2}) }, "", "GOAWAY 0 PROTOCOL_ERROR"},
	{"6.5.2 INITIAL_WINDOW_SIZE is at most 2^31-1", func(k *talk) {
		_ = k.fr.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 1 << 31})
	}, "", "GOAWAY 0 FLOW_CONTROL_ERROR"},
	{"6.5.2 MAX_FRAME_SIZE is at least 2^14", func(k *talk) {
		_ = k.fr.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingMaxFrameSize, Val: MaxFrame - 1})
	}, "", "GOAWAY 0 PROTOCOL_ERROR"},
	{"6.5.2 MAX_FRAME_SIZE is below 2^24", func(k *talk) { _ = k.fr.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingMaxFrameSize, Val: 1 << 24}) }, "", "GOAWAY 0 PROTOCOL_ERROR"},
	{"6.6 clients do not push", func(k *talk) {
		_ = k.fr.WritePushPromise(xhttp2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: k.fields(getFields...), EndHeaders: true})
	}, "", "GOAWAY 0 PROTOCOL_ERROR"},
	{"6.7 PING is answered", func(k *talk) { _ = k.fr.WritePing(false, [8]byte{}) }, "", "PING ack"},
	{"6.7 an answer to PING is not answered", func(k *talk) { _ = k.fr.WritePing(true, [8]byte{}) }, "", ""},
	{"6.7 PING on a stream", func(k *talk) { _ = k.fr.WriteRawFrame(xhttp2.FramePing, 0, 1, make([]byte, 8)) }, "", "GOAWAY 0 PROTOCOL_ERROR"},
	{"6.7 PING of a wrong size", func(k *talk) { _ = k.fr.WriteRawFrame(xhttp2.FramePing, 0, 0, make([]byte, 7)) }, "", "GOAWAY 0 FRAME_SIZE_ERROR"},
	{"6.8 GOAWAY on a stream", func(k *talk) { _ = k.fr.WriteRawFrame(xhttp2.FrameGoAway, 0, 1, make([]byte, 8)) }, "", "GOAWAY 0 PROTOCOL_ERROR"},
	{"6.8 GOAWAY that is too short", func(k *talk) { _ = k.fr.WriteRawFrame(xhttp2.FrameGoAway, 0, 0, make([]byte, 7)) }, "", "GOAWAY 0 FRAME_SIZE_ERROR"},
	{"6.8 what is open is finished after GOAWAY", func(k *talk) {
		k.get(1)
		_ = k.fr.WriteGoAway(0, xhttp2.ErrCodeNo, nil)
		k.feed()
		k.answer(1, 3)
	}, opened, "HEADERS 1 200, DATA 1 3 end"},
	{"6.9 WINDOW_UPDATE of 0 for the connection", func(k *talk) { _ = k.fr.WriteWindowUpdate(0, 0) }, "", "GOAWAY 0 PROTOCOL_ERROR"},
	{"6.9 WINDOW_UPDATE of 0 for a stream", func(k *talk) {
		k.get(1)
		_ = k.fr.WriteWindowUpdate(1, 0)
	}, opened + ", reset 1 PROTOCOL_ERROR", "RST_STREAM 1 PROTOCOL_ERROR"},
	{"6.9 WINDOW_UPDATE of a wrong size", func(k *talk) { _ = k.fr.WriteRawFrame(xhttp2.FrameWindowUpdate, 0, 0, make([]byte, 3)) }, "", "GOAWAY 0 FRAME_SIZE_ERROR"},
	{"6.9.1 more DATA than the stream's window", func(k *talk) {
		k.headers(1, false, post...)
		for range StreamWindow / MaxFrame {
			_ = k.fr.WriteData(1, false, make([]byte, MaxFrame))
		}
		k.feed()
		k.took()
		_ = k.fr.WriteData(1, false, []byte("x"))
	}, "reset 1 FLOW_CONTROL_ERROR", "RST_STREAM 1 FLOW_CONTROL_ERROR"},
	{"6.9.1 a stream's window that is too large", func(k *talk) {
		k.get(1)
		_ = k.fr.WriteWindowUpdate(1, 1<<31-1)
	}, opened + ", reset 1 FLOW_CONTROL_ERROR", "RST_STREAM 1 FLOW_CONTROL_ERROR"},
	{"6.9.1 a connection's window that is too large", func(k *talk) { _ = k.fr.WriteWindowUpdate(0, 1<<31-1) }, "", "GOAWAY 0 FLOW_CONTROL_ERROR"},
	{"6.9.1 DATA is sent within the windows", func(k *talk) {
		_ = k.fr.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 10})
		k.get(1)
		k.c.Respond(1, respond200, false)
		k.c.Send(1, make([]byte, 25), true)
	}, opened, "SETTINGS ack, HEADERS 1 200, DATA 1 10"},
	{"6.9.2 a smaller initial window makes windows negative", func(k *talk) {
		k.get(1)
		k.c.Respond(1, respond200, false)
		k.c.Send(1, make([]byte, 100), false)
		_ = k.fr.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 50})
		k.feed()
		k.c.Send(1, make([]byte, 10), false)
		_ = k.fr.WriteWindowUpdate(1, 50)
		k.feed()
		k.c.Send(1, make([]byte, 10), false)
		_ = k.fr.WriteWindowUpdate(1, 7)
		k.feed()
		k.c.Send(1, make([]byte, 10), true)
	}, opened + ", writable 1", "HEADERS 1 200, DATA 1 100, SETTINGS ack, DATA 1 7"},
	{"6.9.2 a larger initial window wakes streams", func(k *talk) {
		_ = k.fr.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 0})
		k.get(1)
		k.c.Respond(1, respond200, false)
		k.c.Send(1, make([]byte, 5), true)
		_ = k.fr.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 5})
		k.feed()
		k.c.Send(1, make([]byte, 5), true)
	}, opened + ", writable 1", "SETTINGS ack, HEADERS 1 200, SETTINGS ack, DATA 1 5 end"},
	{"6.10 CONTINUATION goes on with a section", func(k *talk) {
		block := k.fields(getFields...)
		_ = k.fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:2], EndStream: true})
		_ = k.fr.WriteContinuation(1, false, block[2:3])
		_ = k.fr.WriteContinuation(1, true, block[3:])
	}, opened, ""},
	{"6.10 CONTINUATION on another stream", func(k *talk) {
		_ = k.fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: k.fields(getFields...)})
		_ = k.fr.WriteContinuation(3, true, nil)
	}, "", "GOAWAY 0 PROTOCOL_ERROR"},
	{"8.1 trailers end a request", func(k *talk) {
		k.headers(1, false, post...)
		k.headers(1, true, "checksum", "1")
	}, "request 1 POST a/, trailers 1 1", ""},
	{"8.1 HEADERS within a body that do not end it", func(k *talk) {
		k.headers(1, false, post...)
		k.headers(1, false, "checksum", "1")
	}, "request 1 POST a/, reset 1 PROTOCOL_ERROR", "RST_STREAM 1 PROTOCOL_ERROR"},
	{"8.1 pseudo-header fields in trailers", func(k *talk) {
		k.headers(1, false, post...)
		k.headers(1, true, ":path", "/")
	}, "request 1 POST a/, reset 1 PROTOCOL_ERROR", "RST_STREAM 1 PROTOCOL_ERROR"},
	{"8.1.1 a body that is longer than promised", func(k *talk) {
		k.headers(1, false, with(post, "content-length", "2")...)
		_ = k.fr.WriteData(1, false, []byte("abc"))
	}, "request 1 POST a/, reset 1 PROTOCOL_ERROR", "RST_STREAM 1 PROTOCOL_ERROR"},
	{"8.1.1 a body that is shorter than promised", func(k *talk) {
		k.headers(1, false, with(post, "content-length", "2")...)
		_ = k.fr.WriteData(1, true, []byte("a"))
	}, "request 1 POST a/, reset 1 PROTOCOL_ERROR", "RST_STREAM 1 PROTOCOL_ERROR"},
	{"8.1.1 a body that trailers end too early", func(k *talk) {
		k.headers(1, false, with(post, "content-length", "2")...)
		k.headers(1, true, "a", "b")
	}, "request 1 POST a/, reset 1 PROTOCOL_ERROR", "RST_STREAM 1 PROTOCOL_ERROR"},
	{"8.1.1 a promised body that never comes", func(k *talk) { k.headers(1, true, with(post, "content-length", "2")...) }, "", "RST_STREAM 1 PROTOCOL_ERROR"},
	{"8.6 the number of streams is limited", func(k *talk) {
		for id := uint32(1); id < 2*MaxStreams; id += 2 {
			k.get(id)
		}
		k.took()
		k.get(2*MaxStreams + 1)
	}, "", "RST_STREAM 501 REFUSED_STREAM"},
}

func TestServer(t *testing.T) {
	for _, s := range serverScripts {
		t.Run(s.name, func(t *testing.T) {
			k := server(t)
			s.peer(k)
			k.feed()
			k.wants(s.events, s.frames)
		})
	}
}

// Requests that are malformed end their stream alone (RFC 9113 section 8.1.1).
func TestMalformedRequests(t *testing.T) {
	for name, fields := range map[string][]string{
		"8.2 a name in capitals":                       with(getFields, "X-A", "b"),
		"8.2.1 a name with a space":                    with(getFields, "x a", "b"),
		"8.2.1 a name with a colon":                    with(getFields, "x:a", "b"),
		"8.2.1 an empty name":                          with(getFields, "", "b"),
		"8.2.1 a value with CR":                        with(getFields, "x-a", "b\rc"),
		"8.2.1 a value with LF":                        with(getFields, "x-a", "b\nc"),
		"8.2.1 a value with NUL":                       with(getFields, "x-a", "b\x00c"),
		"8.2.2 connection":                             with(getFields, "connection", "close"),
		"8.2.2 keep-alive":                             with(getFields, "keep-alive", "1"),
		"8.2.2 proxy-connection":                       with(getFields, "proxy-connection", "close"),
		"8.2.2 transfer-encoding":                      with(getFields, "transfer-encoding", "chunked"),
		"8.2.2 upgrade":                                with(getFields, "upgrade", "websocket"),
		"8.2.2 te other than trailers":                 with(getFields, "te", "gzip"),
		"8.3 pseudo-header field behind others":        with([]string{"a", "b"}, getFields...),
		"8.3 an unknown pseudo-header field":           with([]string{":a", "b"}, getFields...),
		"8.3 a pseudo-header field twice":              with(getFields[:2], getFields...),
		"8.3 :status in a request":                     with([]string{":status", "200"}, getFields...),
		"8.3.1 no :method":                             getFields[2:],
		"8.3.1 no :scheme":                             with(getFields[:2], getFields[4:]...),
		"8.3.1 no :path":                               getFields[:6],
		"8.3.1 an empty :path":                         with(getFields[:6], ":path", ""),
		"8.3.1 an empty :method":                       with(getFields[2:], ":method", ""),
		"8.3.1 :path that does not begin with a slash": with(getFields[:6], ":path", "a"),
		"8.3.1 :path with a space":                     with(getFields[:6], ":path", "/ HTTP/1.1"),
		"8.3.1 :path with a line end":                  with(getFields[:6], ":path", "/\r\nHost: b"),
		"8.3.1 * with another method than OPTIONS":     with(getFields[:6], ":path", "*"),
		"8.3.1 :method with a space":                   with(getFields[2:], ":method", "GET /a"),
		"8.3.1 :authority with user information":       {":method", "GET", ":scheme", "http", ":authority", "u@a", ":path", "/"},
		"8.3.1 Host that differs":                      with(getFields, "host", "other.shop"),
		"8.5 CONNECT with :path":                       {":method", "CONNECT", ":authority", "a:1", ":path", "/"},
		"8.5 CONNECT without :authority":               {":method", "CONNECT"},
		"RFC 8441 4 :protocol with another method":     with([]string{":protocol", "websocket"}, getFields...),
		"RFC 9110 8.6 two lengths":                     with(getFields, "content-length", "0", "content-length", "0"),
		"RFC 9110 8.6 a length that is none":           with(getFields, "content-length", "+1"),
	} {
		t.Run(name, func(t *testing.T) {
			k := server(t)
			k.headers(1, true, fields...)
			k.feed()
			k.wants("", "RST_STREAM 1 PROTOCOL_ERROR")
			k.get(3)
			k.wants("request 3 GET cart.shop/ end", "")
		})
	}
}

func TestPrefaces(t *testing.T) {
	for name, tc := range map[string]struct{ in, frames string }{
		"3.4 none":                    {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "SETTINGS, WINDOW_UPDATE 0 4128769, GOAWAY 0 PROTOCOL_ERROR"},
		"3.4 without SETTINGS":        {preface + string(appendPing(nil, 0, pingData)), "SETTINGS, WINDOW_UPDATE 0 4128769, GOAWAY 0 PROTOCOL_ERROR"},
		"3.4 with an acknowledgement": {preface + string(appendFrameHead(nil, 0, frameSettings, flagAck, 0)), "SETTINGS, WINDOW_UPDATE 0 4128769, GOAWAY 0 PROTOCOL_ERROR"},
		"3.4 with SETTINGS":           {preface + string(appendSettings(nil)), "SETTINGS, WINDOW_UPDATE 0 4128769, SETTINGS ack"},
	} {
		k := newTalk(t, NewServer())
		k.out.WriteString(tc.in)
		k.feed()
		if got := k.frames(); got != tc.frames {
			t.Errorf("%s: %q, want %q", name, got, tc.frames)
		}
	}
}

// asked opens n requests and forgets what they wrote.
func asked(k *talk, n int) {
	for range n {
		k.c.Open(nil, 0, plainGet, true)
	}
	k.c.TakeOut(nil)
}

var clientScripts = []script{
	{"5.1 idle: RST_STREAM", func(k *talk) { _ = k.fr.WriteRSTStream(9, 0) }, "", "GOAWAY 0 PROTOCOL_ERROR"},
	{"5.1.1 servers open no streams", func(k *talk) { k.headers(2, true, ":status", "200") }, "", "GOAWAY 0 PROTOCOL_ERROR"},
	{"5.1 closed by a reset of ours: a response is ignored", func(k *talk) {
		asked(k, 1)
		k.c.Reset(1, Cancel)
		k.headers(1, false, ":status", "200")
		_ = k.fr.WriteData(1, true, []byte("x"))
	}, "", "RST_STREAM 1 CANCEL"},
	{"6.6 push is switched off", func(k *talk) {
		asked(k, 1)
		_ = k.fr.WritePushPromise(xhttp2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: k.fields(getFields...), EndHeaders: true})
	}, "reset 1 connection lost", "GOAWAY 0 PROTOCOL_ERROR"},
	{"6.5.2 servers do not ask for push", func(k *talk) { _ = k.fr.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingEnablePush, Val: 1}) }, "", "GOAWAY 0 PROTOCOL_ERROR"},
	{"RFC 8441 3 extended CONNECT is not taken back", func(k *talk) {
		_ = k.fr.WriteSettings(xhttp2.Setting{ID: settingConnect, Val: 1})
		_ = k.fr.WriteSettings(xhttp2.Setting{ID: settingConnect, Val: 0})
	}, "", "SETTINGS ack, GOAWAY 0 PROTOCOL_ERROR"},
	{"6.8 requests behind GOAWAY are not processed", func(k *talk) {
		asked(k, 3)
		_ = k.fr.WriteGoAway(3, xhttp2.ErrCodeNo, nil)
		k.headers(1, true, ":status", "200")
		k.headers(5, true, ":status", "200") // crossed
	}, "reset 5 REFUSED_STREAM unprocessed, response 1 200 end", ""},
	{"8.7 REFUSED_STREAM tells that a request was not processed", func(k *talk) {
		asked(k, 1)
		_ = k.fr.WriteRSTStream(1, xhttp2.ErrCodeRefusedStream)
	}, "reset 1 REFUSED_STREAM unprocessed", ""},
	{"8.1 interim responses", func(k *talk) {
		asked(k, 1)
		k.headers(1, false, ":status", "100")
		k.headers(1, false, ":status", "103", "link", "a")
		k.headers(1, false, ":status", "200")
		k.headers(1, true, "grpc-status", "0")
	}, "response 1 100, response 1 103, response 1 200, trailers 1 1", ""},
	{"8.1 an interim response ends nothing", func(k *talk) {
		asked(k, 1)
		k.headers(1, true, ":status", "103")
	}, "reset 1 PROTOCOL_ERROR", "RST_STREAM 1 PROTOCOL_ERROR"},
	{"8.1 DATA before the head", func(k *talk) {
		asked(k, 1)
		_ = k.fr.WriteData(1, true, []byte("x"))
	}, "reset 1 PROTOCOL_ERROR", "RST_STREAM 1 PROTOCOL_ERROR"},
	{"8.1.1 a body that is shorter than promised", func(k *talk) {
		asked(k, 1)
		k.headers(1, false, ":status", "200", "content-length", "9")
		_ = k.fr.WriteData(1, true, []byte("x"))
	}, "response 1 200, reset 1 PROTOCOL_ERROR", "RST_STREAM 1 PROTOCOL_ERROR"},
	{"8.1.1 a response to HEAD has a length and no body", func(k *talk) {
		k.c.Open(nil, 0, &msg.Request{Method: []byte("HEAD"), Authority: []byte("a"), Path: []byte("/")}, true)
		k.c.TakeOut(nil)
		k.headers(1, true, ":status", "200", "content-length", "9")
	}, "response 1 200 end", ""},
	{"8.3.2 no :status", func(k *talk) {
		asked(k, 1)
		k.headers(1, true, "a", "b")
	}, "reset 1 PROTOCOL_ERROR", "RST_STREAM 1 PROTOCOL_ERROR"},
	{"8.3.2 :status twice", func(k *talk) {
		asked(k, 1)
		k.headers(1, true, ":status", "200", ":status", "200")
	}, "reset 1 PROTOCOL_ERROR", "RST_STREAM 1 PROTOCOL_ERROR"},
	{"8.6 101 is none of HTTP/2", func(k *talk) {
		asked(k, 1)
		k.headers(1, false, ":status", "101")
	}, "reset 1 PROTOCOL_ERROR", "RST_STREAM 1 PROTOCOL_ERROR"},
	{"8.2.2 fields of an HTTP/1.1 connection", func(k *talk) {
		asked(k, 1)
		k.headers(1, true, ":status", "200", "transfer-encoding", "chunked")
	}, "reset 1 PROTOCOL_ERROR", "RST_STREAM 1 PROTOCOL_ERROR"},
	{"10.5.1 a response head that is too large", func(k *talk) {
		asked(k, 1)
		fields := []string{":status", "200"}
		for range MaxFields {
			fields = append(fields, "a", "b")
		}
		k.headers(1, true, fields...)
	}, "reset 1 ENHANCE_YOUR_CALM", "RST_STREAM 1 ENHANCE_YOUR_CALM"},
}

func TestClient(t *testing.T) {
	for _, s := range clientScripts {
		t.Run(s.name, func(t *testing.T) {
			k := client(t)
			s.peer(k)
			k.feed()
			k.wants(s.events, s.frames)
		})
	}
}

// A client opens as many streams as its peer allows, and sends heads of any size in frames that fit.
func TestOpen(t *testing.T) {
	k := client(t)
	_ = k.fr.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingMaxConcurrentStreams, Val: 2})
	k.feed()
	for i, want := range []uint32{1, 3, 0} {
		if id := k.c.Open(nil, 0, plainGet, true); id != want {
			t.Errorf("request %d got stream %d, want %d", i, id, want)
		}
	}
	k = client(t)
	long := msg.Field{Name: []byte("x-long"), Value: []byte(strings.Repeat("v", 3*MaxFrame))}
	k.c.Open(nil, 0, &msg.Request{Method: []byte("GET"), Authority: []byte("cart.shop"), Path: []byte("/"), Fields: msg.Fields{long}}, true)
	s := server(t)
	s.out.Write(k.c.TakeOut(nil))
	s.feed()
	s.wants(opened, "")
}
