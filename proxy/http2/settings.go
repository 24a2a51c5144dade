package http2

import "encoding/binary"

// settings takes over what the peer wants (RFC 9113 section 6.5).
func (c *Conn) settings(f *frame) *Error {
	if f.stream != 0 {
		return errNotStreamZero
	}
	if f.has(flagAck) {
		if len(f.payload) != 0 {
			return errBadSize
		}
		c.awaitAck = max(0, c.awaitAck-1)
		return nil
	}
	if len(f.payload)%6 != 0 {
		return errBadSize
	}
	c.begun = true
	window := c.peerWindow
	for p := f.payload; len(p) > 0; p = p[6:] {
		id, value := binary.BigEndian.Uint16(p), binary.BigEndian.Uint32(p[2:])
		if id == settingInitialWindow {
			if value > maxWindow {
				return errWindowSetting
			}
			window = int64(value) // only the last one is applied: one frame can name thousands
		} else if e := c.setting(id, value); e != nil {
			return e
		}
	}
	if e := c.initialWindow(window); e != nil {
		return e
	}
	before := len(c.out)
	c.out = appendFrameHead(c.out, 0, frameSettings, flagAck, 0)
	c.control += len(c.out) - before
	return nil
}

func (c *Conn) setting(id uint16, value uint32) *Error {
	switch id {
	case settingTableSize:
		c.enc.limit(value)
	case settingPush:
		if value > 1 || value == 1 && !c.server {
			return errSetting
		}
	case settingMaxStreams:
		c.peerMax = value
	case settingMaxFrame:
		// We never send larger frames than the smallest value allowed.
		if value < MaxFrame || value > 1<<24-1 {
			return errSetting
		}
	case settingConnect:
		if value > 1 || c.connectOK && value == 0 { // RFC 8441 section 3
			return errSetting
		}
		c.connectOK = value == 1
	}
	return nil
}

// initialWindow changes the window of all streams (RFC 9113 section 6.9.2).
func (c *Conn) initialWindow(size int64) *Error {
	delta := size - c.peerWindow
	if delta == 0 {
		return nil
	}
	c.peerWindow = size
	for _, st := range c.ordered() {
		if st.sendWindow += delta; st.sendWindow > maxWindow {
			return errWindowSetting
		}
		if st.sendWindow > 0 && st.blocked && !st.inQueue {
			c.event(Writable, st)
			st.blocked = false
		}
	}
	return nil
}
