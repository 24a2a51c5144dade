package tcp_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/leno-mesh/leno/proxy/tcp"
)

// readByProcess is how many bytes this process has got from read and its like; splice and recvfrom are not among them.
func readByProcess(t *testing.T) int64 {
	for line := range strings.Lines(string(must(os.ReadFile("/proc/self/io")))) {
		var n int64
		if _, err := fmt.Sscanf(line, "rchar: %d", &n); err == nil {
			return n
		}
	}
	t.Fatal("the kernel does not count what a process reads")
	return 0
}

// discard takes all that comes, without any of it being copied to this process.
func discard(t *testing.T, conn net.Conn) (total int64) {
	raw := must(conn.(*net.TCPConn).SyscallConn())
	piece := make([]byte, 1<<20)
	for end := false; !end; {
		if err := raw.Read(func(fd uintptr) bool {
			n, _, err := syscall.Recvfrom(int(fd), piece, syscall.MSG_TRUNC|syscall.MSG_DONTWAIT)
			if errors.Is(err, syscall.EAGAIN) {
				return false
			}
			total += int64(max(n, 0))
			end = n <= 0
			return true
		}); err != nil {
			t.Error(err)
			return total
		}
	}
	return total
}

// Bulk between plain sockets stays in the kernel: hardly any of it is read by the process.
func TestBulkIsNotCopied(t *testing.T) {
	const size = 64 << 20
	client, accepted := sockets(t)
	dialled, server := sockets(t)
	done := make(chan tcp.Result)
	before := readByProcess(t)
	go func() { done <- tcp.New(0).Run(t.Context(), accepted, dialled) }()
	go func() {
		piece := make([]byte, 1<<20)
		for range size / len(piece) {
			_, _ = client.Write(piece)
		}
		_ = client.(*net.TCPConn).CloseWrite()
	}()
	if got := discard(t, server); got != size {
		t.Errorf("server got %d bytes of %d", got, size)
	}
	copied := readByProcess(t) - before
	_ = server.Close()
	if got := <-done; got.ToServer != size || got.Err != nil {
		t.Errorf("result %+v", got)
	}
	if copied == 0 || copied > size/4 {
		t.Errorf("%d bytes of %d were read: at first some, then none", copied, size)
	}
}
