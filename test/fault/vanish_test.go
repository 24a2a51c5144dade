//go:build fault && netns

package fault_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// far is the network namespace that is the client's host; nearAddress and farAddress are the ends of the wire to it.
const (
	far         = "leno-fault-far"
	nearAddress = "10.98.0.1"
	farAddress  = "10.98.0.2"
)

// vanished is by when a sidecar must know that a peer's host is gone: probes go out after 15 seconds without a packet, and
// 3 of them are not answered.
const vanished = 90 * time.Second

func init() { isolate = isolateAsRoot }

// isolateAsRoot runs everything in namespaces of its own, for the network and for its names, which die with the process.
func isolateAsRoot() {
	const inside = "LENO_TEST_INSIDE_NETNS"
	if os.Getenv(inside) == "" {
		again := exec.Command(os.Args[0], os.Args[1:]...)
		again.Env = append(os.Environ(), inside+"=1")
		again.Stdout, again.Stderr = os.Stdout, os.Stderr
		again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
		err := again.Run()
		var exit *exec.ExitError
		switch {
		case errors.As(err, &exit):
			os.Exit(exit.ExitCode())
		case err != nil:
			fmt.Fprintln(os.Stderr, "network namespace:", err, "(run as root)")
			os.Exit(1)
		}
		os.Exit(0)
	}
	set := exec.Command("sh", "-ec", `mount --make-rprivate /; mount -t tmpfs none /run; mkdir /run/netns; ip link set lo up
		ip netns add `+far+`; ip -n `+far+` link set lo up
		ip link add near type veth peer name far netns `+far+`
		ip addr add `+nearAddress+`/24 dev near; ip link set near up
		ip -n `+far+` addr add `+farAddress+`/24 dev far; ip -n `+far+` link set far up`)
	if out, err := set.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "network namespace: %v\n%s", err, out)
		os.Exit(1)
	}
}

// dialFrom connects from the namespace far.
func dialFrom(address string) (conn net.Conn, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		var fd int
		if fd, err = unix.Open("/run/netns/"+far, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			return
		}
		defer unix.Close(fd)
		if err = unix.Setns(fd, unix.CLONE_NEWNET); err == nil {
			conn, err = net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address)))
		}
	}()
	<-done
	return conn, err
}

// wire pulls the wire to the far host, or plugs it in.
func wire(t *testing.T, state string) {
	t.Helper()
	if out, err := exec.Command("ip", "link", "set", "near", state).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestClientVanishes: a client's host is gone without a word, while its streams rest and while it waits for an answer. The
// sidecar of the server finds out and releases everything; who is elsewhere notices nothing.
func TestClientVanishes(t *testing.T) {
	t.Parallel()
	c := startNear(t, netip.MustParseAddr(nearAddress), 0, pair)
	server := c.pods["server"]
	arrived := make(chan struct{}, 2)
	server.app.misbehave(func(conn *net.TCPConn) {
		if _, in, ok := readRequest(conn); ok {
			arrived <- struct{}{}
			_, _ = io.Copy(io.Discard, in)
		}
	})
	for _, port := range []uint16{portTCP, portRaw, portHTTP} {
		conn, err := dialFrom(netip.AddrPortFrom(netip.MustParseAddr(nearAddress), port).String())
		if err != nil {
			t.Fatal(err)
		}
		c.clients = append(c.clients, conn)
		if _, err := io.WriteString(conn, "GET /echo HTTP/1.1\r\nHost: server\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if port == portRaw {
			await(t, "the request arrives", arrived)
			continue
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	around := c.bystanders()
	wire(t, "down")
	t.Cleanup(func() { wire(t, "up") })
	began := time.Now()
	c.within(vanished, "the sidecar finds out", func() bool { return server.app.openAt(portTCP) == 1 && server.app.openAt(portRaw) == 0 })
	t.Logf("released after %s", time.Since(began).Round(time.Second))
	around.unharmed()
	c.clean()
}
