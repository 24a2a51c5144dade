package sock

import (
	"syscall"
	"unsafe"
)

// ReadNow reads what is there; 0 and no error: nothing is, for now. b must not be empty.
func (c *Conn) ReadNow(b []byte) (int, error) {
	n, err := c.read(b, c.look)
	return max(n, 0), err
}

func (c *Conn) receiveNow(fd uintptr) bool {
	if !c.in.receive(fd) {
		c.in.n, c.in.errno = -1, 0
	}
	return true
}

// Await waits until something can be read, which may be the end, and leaves it where it is.
func (c *Conn) Await() error { return c.raw.Read(readable) }

func readable(fd uintptr) bool { return !silent(fd) }

// ReadLate is Read into what room returns, which is asked for only when something is there: who waits holds no buffer,
// and those who do not wait share few that the processor still has in its cache. room must not return nothing.
func (c *Conn) ReadLate(room func() []byte) (int, error) {
	c.room, c.looked = room, false
	n, err := c.read(nil, c.wait)
	c.room = nil
	return n, err
}

func (c *Conn) receiveLate(fd uintptr) bool {
	if !c.looked {
		c.looked = true
		if silent(fd) {
			return false
		}
	}
	if c.in.b == nil {
		c.in.b = c.room()
	}
	return c.in.receive(fd)
}

// ReadEach reads into what room returns whenever something is there, and has got called with the length of each piece, until
// got returns false or reading fails. All of it happens inside of the poller's wait, so that nothing is looked at in vain
// between one piece and the next: a piece that does not fill its room was all there was, and the poller remembers what
// came later. What came before and has no bytes is not seen: the end of the stream, where it was there when the bytes
// before it were read. So there must be a deadline, after which ReadEach, called again, looks. got must not read from
// the connection; it may write, set deadlines, and have it closed by others, whose Close returns when got has.
func (c *Conn) ReadEach(room func() []byte, got func(n int) bool) error {
	c.room, c.got, c.looked = room, got, false
	_, err := c.read(nil, c.each)
	c.room, c.got = nil, nil
	return err
}

func (c *Conn) receiveEach(fd uintptr) bool {
	if !c.looked {
		c.looked = true
		if silent(fd) {
			return false
		}
	}
	for {
		c.in.b = c.room()
		if !c.in.receive(fd) {
			return false
		}
		full := c.in.n == len(c.in.b)
		c.in.b = nil
		if c.in.errno != 0 || c.in.n == 0 || !c.got(c.in.n) {
			return true
		}
		if !full {
			return false
		}
	}
}

// silent tells that there is nothing to read, not even the end.
func silent(fd uintptr) bool {
	var one [1]byte
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&one)), 1, syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
	return errno == syscall.EAGAIN
}

// Ask writes question and then reads once into what room returns, like Write and [Conn.ReadLate] one after the other. It
// saves the look at a socket that cannot have an answer yet, so nothing must be left to read before. A failure of writing
// shows in what is read: the peer may have answered before it closed.
func (c *Conn) Ask(question []byte, room func() []byte) (int, error) {
	c.out.b, c.out.n, c.out.errno = question, 0, 0
	c.room = room
	n, err := c.read(nil, c.ask)
	c.room = nil
	rest := c.out.b
	c.out.b = nil
	if len(rest) == 0 {
		return n, err
	}
	_, _ = c.Write(rest)
	if err != nil { // the deadline for reading had passed before
		return 0, err
	}
	return c.ReadLate(room)
}

// sendOrReceive begins with sending. The poller forgot what it knew before it called this, so that it tells of whatever
// comes from now on: waiting may begin without a look.
func (c *Conn) sendOrReceive(fd uintptr) bool {
	if len(c.out.b) == 0 {
		if c.in.b == nil {
			c.in.b = c.room()
		}
		return c.in.receive(fd)
	}
	c.in.n, c.in.errno = -1, 0
	// What was not sent goes the usual way: waiting for room is not waiting for bytes.
	return !c.out.send(fd) || c.out.errno != 0
}
