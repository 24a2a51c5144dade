package sock

import (
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxSplices bounds pipes: each has two descriptors and holds up to its size of the kernel's memory.
	maxSplices = 8
	// pipeSize is asked for. The kernel gives less to users who have many.
	pipeSize = 1 << 20
	// pipeIdle is how long pipes are kept for the next transfer.
	pipeIdle = 10 * time.Second
)

// Splice moves bytes from one socket to another in the kernel, through a pipe. It belongs to one goroutine.
type Splice struct {
	src, dst      *Conn
	in, out       int // the pipe's ends
	most          int // bytes to take from src
	held          int // bytes in the pipe
	n             int
	errno         syscall.Errno
	receive, send func(fd uintptr) bool // made once
}

// splices are the pipes of all transfers.
var splices struct {
	mu    sync.Mutex // guards all below
	used  int
	free  []*Splice
	sweep *time.Timer
}

// NewSplice returns what moves bytes from src to dst in the kernel; nil where that cannot be done, or too
// many do it already.
func NewSplice(dst, src net.Conn) *Splice {
	to, ok := dst.(*Conn)
	if !ok {
		return nil
	}
	from, ok := src.(*Conn)
	if !ok {
		return nil
	}
	s := takeSplice()
	if s != nil {
		s.src, s.dst = from, to
	}
	return s
}

func takeSplice() *Splice {
	splices.mu.Lock()
	defer splices.mu.Unlock()
	if splices.used == maxSplices {
		return nil
	}
	if last := len(splices.free) - 1; last >= 0 {
		s := splices.free[last]
		splices.free = splices.free[:last]
		splices.used++
		return s
	}
	var ends [2]int
	if unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK) != nil {
		return nil // no descriptors are left: copying needs none
	}
	_, _ = unix.FcntlInt(uintptr(ends[1]), unix.F_SETPIPE_SZ, pipeSize) // a smaller one works, too
	s := &Splice{out: ends[0], in: ends[1]}
	s.receive, s.send = s.fromSource, s.toSink
	splices.used++
	return s
}

// Release gives the pipe back. What is in it is lost.
func (s *Splice) Release() {
	s.src, s.dst = nil, nil
	splices.mu.Lock()
	defer splices.mu.Unlock()
	splices.used--
	if s.held > 0 {
		s.close()
		return
	}
	splices.free = append(splices.free, s)
	if splices.sweep == nil {
		splices.sweep = time.AfterFunc(pipeIdle, closeIdle)
	} else {
		splices.sweep.Reset(pipeIdle)
	}
}

// closeIdle runs when no transfer has ended for a while.
func closeIdle() {
	splices.mu.Lock()
	defer splices.mu.Unlock()
	for i, s := range splices.free {
		s.close()
		splices.free[i] = nil
	}
	splices.free = splices.free[:0]
}

func (s *Splice) close() {
	_ = unix.Close(s.in)
	_ = unix.Close(s.out)
}

// Fill waits for bytes of the source and takes at most so many. They must be flushed before the next. Errors are those of
// reading, and take nothing.
func (s *Splice) Fill(most int64) (int, error) {
	s.most, s.errno = int(min(most, pipeSize)), 0
	err := s.src.raw.Read(s.receive)
	switch {
	case err != nil:
		return 0, err
	case s.errno != 0:
		return 0, s.src.failed("read", "splice", s.errno)
	case s.n == 0:
		return 0, io.EOF
	}
	s.held = s.n
	return s.n, nil
}

// Flush writes all that Fill took. Errors are those of writing.
func (s *Splice) Flush() error {
	s.errno = 0
	err := s.dst.raw.Write(s.send)
	if err == nil && s.errno != 0 {
		err = s.dst.failed("write", "splice", s.errno)
	}
	return err
}

func (s *Splice) fromSource(fd uintptr) bool {
	for {
		s.n, s.errno = splice(int(fd), s.in, s.most)
		switch s.errno {
		case syscall.EAGAIN: // the pipe is empty, so it is the socket that has nothing
			return false
		case syscall.EINTR:
		default:
			return true
		}
	}
}

func (s *Splice) toSink(fd uintptr) bool {
	for {
		n, errno := splice(s.out, int(fd), s.held)
		switch errno {
		case 0:
			if s.held -= n; s.held == 0 {
				return true
			}
		case syscall.EAGAIN:
			return false
		case syscall.EINTR:
		default:
			s.errno = errno
			return true
		}
	}
}

// splice never blocks: sockets and pipes do not, and are said not to.
func splice(from, to, most int) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(most), unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
	return int(n), errno
}
