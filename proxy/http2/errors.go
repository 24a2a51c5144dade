package http2

import "fmt"

// Code is an error code (RFC 9113 section 7).
type Code uint32

// The codes.
const (
	NoError            Code = 0x0
	ProtocolError      Code = 0x1
	InternalError      Code = 0x2
	FlowControlError   Code = 0x3
	SettingsTimeout    Code = 0x4
	StreamClosed       Code = 0x5
	FrameSizeError     Code = 0x6
	RefusedStream      Code = 0x7
	Cancel             Code = 0x8
	CompressionError   Code = 0x9
	ConnectError       Code = 0xa
	EnhanceYourCalm    Code = 0xb
	InadequateSecurity Code = 0xc
	HTTP11Required     Code = 0xd

	// Lost is the code of streams whose connection ended. It is never on the wire.
	Lost Code = 1 << 31
)

var codeNames = [...]string{
	"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR",
	"REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
}

// String is the code's name in the RFC.
func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	if c == Lost {
		return "connection lost"
	}
	return fmt.Sprintf("code %#x", uint32(c))
}

// Error ends a connection. Flood names the defence that it comes from, for metrics; empty for plain violations.
type Error struct {
	Code   Code
	Reason string
	Flood  string
}

func (e *Error) Error() string { return "HTTP/2 " + e.Code.String() + ": " + e.Reason }

// The ends of connections. Values, not constructors: refusing must not allocate.
var (
	errPreface       = &Error{Code: ProtocolError, Reason: "the connection does not begin with the client preface"}
	errFirst         = &Error{Code: ProtocolError, Reason: "the first frame is not SETTINGS"}
	errFrameSize     = &Error{Code: FrameSizeError, Reason: "a frame is larger than SETTINGS_MAX_FRAME_SIZE"}
	errBadSize       = &Error{Code: FrameSizeError, Reason: "a frame has the wrong size for its type"}
	errStreamZero    = &Error{Code: ProtocolError, Reason: "a frame that belongs to a stream is on stream 0"}
	errNotStreamZero = &Error{Code: ProtocolError, Reason: "a frame that belongs to the connection is on a stream"}
	errPadding       = &Error{Code: ProtocolError, Reason: "padding is longer than the frame"}
	errContinuation  = &Error{Code: ProtocolError, Reason: "a field section is interrupted, or CONTINUATION comes without one"}
	errIdle          = &Error{Code: ProtocolError, Reason: "a frame is on a stream that was never opened"}
	errStreamID      = &Error{Code: ProtocolError, Reason: "a stream identifier is of the wrong kind, or not larger than the last"}
	errClosed        = &Error{Code: StreamClosed, Reason: "HEADERS on a closed stream"}
	errPush          = &Error{Code: ProtocolError, Reason: "PUSH_PROMISE, which is switched off"}
	errSetting       = &Error{Code: ProtocolError, Reason: "a setting has a forbidden value"}
	errWindowSetting = &Error{Code: FlowControlError, Reason: "SETTINGS_INITIAL_WINDOW_SIZE is too large"}
	errWindowZero    = &Error{Code: ProtocolError, Reason: "WINDOW_UPDATE of 0 for the connection"}
	errSelf          = &Error{Code: ProtocolError, Reason: "a stream depends on itself"}
	errWindow        = &Error{Code: FlowControlError, Reason: "the window of the connection is larger than 2^31-1"}
	errFlow          = &Error{Code: FlowControlError, Reason: "more DATA than the connection's window allows"}
	errCompression   = &Error{Code: CompressionError, Reason: "malformed field block"}
	errRapidReset    = &Error{Code: EnhanceYourCalm, Reason: "too many requests were cancelled", Flood: "rapid_reset"}
	errFragments     = &Error{Code: EnhanceYourCalm, Reason: "a field section has too many frames, or too many octets", Flood: "continuation"}
	errControlOut    = &Error{Code: EnhanceYourCalm, Reason: "answers to control frames are not read", Flood: "unread_answers"}
	errSlow          = &Error{Code: EnhanceYourCalm, Reason: "a field section or a frame took too long", Flood: "slow"}
	errClosedFlood   = &Error{Code: EnhanceYourCalm, Reason: "too many frames on closed streams", Flood: "closed_streams"}
	errGoAwayReset   = &Error{Code: EnhanceYourCalm, Reason: "too many malformed requests", Flood: "malformed"}
)

// floods are what a control budget that is used up is reported as, by the type of the last frame.
var floods = map[FrameType]*Error{
	frameData:     {Code: EnhanceYourCalm, Reason: "too many empty DATA frames", Flood: "empty_frames"},
	framePriority: {Code: EnhanceYourCalm, Reason: "too many PRIORITY frames", Flood: "priority"},
	frameReset:    {Code: EnhanceYourCalm, Reason: "too many RST_STREAM frames", Flood: "rapid_reset"},
	frameSettings: {Code: EnhanceYourCalm, Reason: "too many SETTINGS frames", Flood: "settings"},
	framePing:     {Code: EnhanceYourCalm, Reason: "too many PING frames", Flood: "ping"},
	frameGoAway:   {Code: EnhanceYourCalm, Reason: "too many GOAWAY frames", Flood: "goaway"},
	frameWindow:   {Code: EnhanceYourCalm, Reason: "too many WINDOW_UPDATE frames", Flood: "window_update"},
}

var errUnknownFlood = &Error{Code: EnhanceYourCalm, Reason: "too many frames of unknown type", Flood: "unknown_frames"}

// floodOf is the end of a connection whose peer used up its control budget with a frame of type t.
func floodOf(t FrameType) *Error {
	if e, ok := floods[t]; ok {
		return e
	}
	return errUnknownFlood
}
