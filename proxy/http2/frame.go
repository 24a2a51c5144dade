package http2

import "encoding/binary"

// FrameType is the type of a frame (RFC 9113 section 6).
type FrameType uint8

const (
	frameData         FrameType = 0x0
	frameHeaders      FrameType = 0x1
	framePriority     FrameType = 0x2
	frameReset        FrameType = 0x3
	frameSettings     FrameType = 0x4
	framePush         FrameType = 0x5
	framePing         FrameType = 0x6
	frameGoAway       FrameType = 0x7
	frameWindow       FrameType = 0x8
	frameContinuation FrameType = 0x9
)

// Flags of frames.
const (
	flagEndStream  = 0x1
	flagAck        = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

// Settings (RFC 9113 section 6.5.2, RFC 8441 section 3).
const (
	settingTableSize     = 0x1
	settingPush          = 0x2
	settingMaxStreams    = 0x3
	settingInitialWindow = 0x4
	settingMaxFrame      = 0x5
	settingMaxHead       = 0x6
	settingConnect       = 0x8
)

// frameHead is the size of a frame's head (RFC 9113 section 4.1).
const frameHead = 9

// frame is one frame in a buffer.
type frame struct {
	kind    FrameType
	flags   uint8
	stream  uint32
	payload []byte
}

func (f *frame) has(flag uint8) bool { return f.flags&flag != 0 }

// parseFrame takes a frame from the front of in; n is its size, 0 when there is no whole one. A frame that is too large is refused
// as soon as its head is there.
func parseFrame(in []byte) (f frame, n int, err *Error) {
	if len(in) < frameHead {
		return frame{}, 0, nil
	}
	size := int(in[0])<<16 | int(in[1])<<8 | int(in[2])
	f = frame{kind: FrameType(in[3]), flags: in[4], stream: binary.BigEndian.Uint32(in[5:]) &^ (1 << 31)}
	if size > MaxFrame {
		return f, 0, errFrameSize
	}
	if len(in) < frameHead+size {
		return f, 0, nil
	}
	f.payload = in[frameHead : frameHead+size]
	return f, frameHead + size, nil
}

// unpad takes padding off a payload (RFC 9113 section 6.1).
func (f *frame) unpad() ([]byte, *Error) {
	if !f.has(flagPadded) {
		return f.payload, nil
	}
	if len(f.payload) == 0 {
		return nil, errBadSize
	}
	pad := int(f.payload[0])
	if pad >= len(f.payload) {
		return nil, errPadding
	}
	return f.payload[1 : len(f.payload)-pad], nil
}

func appendFrameHead(dst []byte, size int, kind FrameType, flags uint8, stream uint32) []byte {
	return append(dst, byte(size>>16), byte(size>>8), byte(size), byte(kind), flags,
		byte(stream>>24), byte(stream>>16), byte(stream>>8), byte(stream))
}

func appendReset(dst []byte, stream uint32, code Code) []byte {
	return binary.BigEndian.AppendUint32(appendFrameHead(dst, 4, frameReset, 0, stream), uint32(code))
}

func appendWindow(dst []byte, stream uint32, by int) []byte {
	return binary.BigEndian.AppendUint32(appendFrameHead(dst, 4, frameWindow, 0, stream), uint32(by))
}

func appendPing(dst []byte, flags uint8, data []byte) []byte {
	return append(appendFrameHead(dst, 8, framePing, flags, 0), data[:8]...)
}

func appendGoAway(dst []byte, last uint32, code Code, debug string) []byte {
	dst = appendFrameHead(dst, 8+len(debug), frameGoAway, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, last)
	dst = binary.BigEndian.AppendUint32(dst, uint32(code))
	return append(dst, debug...)
}

type setting struct {
	id    uint16
	value uint32
}

func appendSettings(dst []byte, list ...setting) []byte {
	dst = appendFrameHead(dst, 6*len(list), frameSettings, 0, 0)
	for _, s := range list {
		dst = binary.BigEndian.AppendUint16(dst, s.id)
		dst = binary.BigEndian.AppendUint32(dst, s.value)
	}
	return dst
}
