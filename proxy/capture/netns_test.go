//go:build netns

package capture_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/leno-mesh/leno/proxy/capture"
)

// TestMain runs the tests of this file in a network namespace of their own, which dies with the process.
func TestMain(m *testing.M) {
	const inside = "LENO_TEST_INSIDE_NETNS"
	if os.Getenv(inside) != "" {
		os.Exit(m.Run())
	}
	again := exec.Command(os.Args[0], os.Args[1:]...)
	again.Env = append(os.Environ(), inside+"=1")
	again.Stdout, again.Stderr = os.Stdout, os.Stderr
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := again.Run(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			os.Exit(exit.ExitCode())
		}
		fmt.Fprintln(os.Stderr, "network namespace:", err, "(run as root)")
		os.Exit(1)
	}
}

func sh(t *testing.T, command string) string {
	t.Helper()
	out, err := exec.Command("sh", "-ec", command).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

// network gives the namespace a way out that leads nowhere: packets leave by a veth whose other end answers nothing.
func network(t *testing.T) {
	sh(t, `ip link set lo up
		ip link add eth0 type veth peer name far 2>/dev/null || exit 0
		sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.eth0.accept_dad=0
		ip addr add 10.99.0.2/24 dev eth0; ip -6 addr add fd00:99::2/64 dev eth0 nodad
		ip link set eth0 up; ip link set far up
		ip route add default via 10.99.0.1; ip -6 route add default via fd00:99::1
		ip neigh add 10.99.0.1 lladdr 02:00:00:00:00:01 dev eth0; ip -6 neigh add fd00:99::1 lladdr 02:00:00:00:00:01 dev eth0`)
}

// as runs f on a thread whose sockets belong to uid.
func as(uid int, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		_ = unix.Setfsuid(uid)
		f()
	}()
	<-done
}

func TestKernel(t *testing.T) {
	network(t)
	table, err := capture.Ruleset(settings())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // replaced as a whole: twice is the same as once
		if err := capture.Install(capture.Netlink{}, table); err != nil {
			t.Fatal(err)
		}
	}
	// nft shows what we show.
	if got := sh(t, "nft list table inet leno"); got != want {
		t.Errorf("nft shows:\n%s", got)
	}
	// And nft takes our text and makes the same of it.
	sh(t, "nft delete table inet leno")
	if _, err := (capture.Netlink{}).Read(capture.TableName); !errors.Is(err, capture.ErrNoTable) {
		t.Errorf("after delete: %v", err)
	}
	load := exec.Command("nft", "-f", "-")
	load.Stdin = strings.NewReader(table.String())
	if out, err := load.CombinedOutput(); err != nil {
		t.Errorf("nft -f: %v\n%s", err, out)
	}
	if err := capture.Install(capture.Netlink{}, table); err != nil {
		t.Fatal(err)
	}

	for _, listen := range []string{"127.0.0.1:15001", "[::1]:15001"} {
		listener, err := net.Listen("tcp", listen)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = listener.Close() }()
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				original, err := capture.Original(conn)
				_, _ = fmt.Fprintf(conn, "%v %v", original, err)
				_ = conn.Close()
			}
		}()
	}
	for _, tc := range []struct {
		to       string
		uid      int
		captured bool
	}{
		{"192.0.2.7:80", 1000, true},
		{"[2001:db8::7]:443", 1000, true},
		{"192.0.2.7:80", 15015, false},
		{"192.0.2.7:25", 1000, false},
		{"10.1.200.1:80", 1000, false},
		{"[fd00:1::99]:80", 1000, false},
		{"127.0.0.1:15001", 1000, true}, // direct: the local address is the answer
	} {
		as(tc.uid, func() {
			got, err := dial(tc.to)
			if tc.captured && got != tc.to+" <nil>" || !tc.captured && err == nil {
				t.Errorf("%s as %d: %q, %v; captured must be %v", tc.to, tc.uid, got, err, tc.captured)
			}
		})
	}
}

func dial(to string) (string, error) {
	dialer := net.Dialer{Timeout: 200 * time.Millisecond}
	conn, err := dialer.Dial("tcp", netip.MustParseAddrPort(to).String())
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	answer := make([]byte, 100)
	n, err := conn.Read(answer)
	return string(answer[:n]), err
}
