package inproc_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/leno-mesh/leno/proxy/telemetry"
	"github.com/leno-mesh/leno/test/inproc"
)

func dial(t *testing.T, address string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn, bufio.NewReader(conn)
}

func echoed(t *testing.T, conn net.Conn, in *bufio.Reader, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text+"\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := in.ReadString('\n'); err != nil || got != text+"\n" {
		t.Fatalf("echo of %q is %q, %v", text, got, err)
	}
}

// TestServerFirst: a protocol in which the server speaks first passes, over mutual TLS, with nothing declared.
func TestServerFirst(t *testing.T) {
	m := inproc.Start(t, inproc.Options{}, inproc.Shop)
	start := time.Now()
	conn, in := dial(t, m.Pod("client").Address(t, "catalog-v1:9000"))
	if got, err := in.ReadString('\n'); err != nil || got != inproc.Greeting {
		t.Fatalf("greeted with %q, %v", got, err)
	}
	if took := time.Since(start); took > patienceForDetection {
		t.Errorf("the greeting took %s", took)
	}
	echoed(t, conn, in, "hello")
	conn.Close()
	records := m.Pod("catalog-v1").Records
	m.Eventually("a record", func() bool { return len(records.Connections(telemetry.Inbound)) > 0 })
	if r := records.Connections(telemetry.Inbound)[0]; !r.MTLS || r.Source.Name != "client" {
		t.Errorf("mTLS %t, from %q", r.MTLS, r.Source.Name)
	}
}

// patienceForDetection is far above the 100 ms that detection may take, for a machine under load.
const patienceForDetection = 5 * time.Second

// TestPodAddress: pods reach each other and themselves by address; routes do not apply, mutual TLS does.
func TestPodAddress(t *testing.T) {
	m := inproc.Start(t, inproc.Options{}, inproc.Shop, inproc.Split(0, 100))
	client, pod := m.Client("client"), m.Pod("client")
	for _, owner := range []string{"catalog-v1", "client"} {
		way := pod.Way(t, netip.AddrPortFrom(m.Pod(owner).IP, 8080))
		if answer := client.Do(http.MethodGet, way, "/", "pod"); answer.Status != 200 || answer.Seen.Owner != owner {
			t.Errorf("address of %s: %+v", owner, answer)
		}
	}
	records := m.Pod("catalog-v1").Records
	m.Eventually("a record", func() bool { return len(records.Requests(telemetry.Inbound)) > 0 })
	if r := records.Requests(telemetry.Inbound)[0]; !r.MTLS || r.Source.Name != "client" {
		t.Errorf("mTLS %t, from %q", r.MTLS, r.Source.Name)
	}
}

// TestUnknownDestination: what the mesh does not know passes untouched, or not at all, as the Mesh says.
func TestUnknownDestination(t *testing.T) {
	m := inproc.Start(t, inproc.Options{}, inproc.Shop)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(conn, conn); conn.Close() }()
		}
	}()
	way := m.Pod("client").Way(t, listener.Addr().(*net.TCPAddr).AddrPort())
	conn, in := dial(t, way)
	echoed(t, conn, in, "outside")
	m.Apply(inproc.Shop, "apiVersion: mesh.leno.dev/v1alpha1\nkind: Mesh\nmetadata: {name: default}\nspec: {outbound: {policy: Deny}}\n")
	m.Eventually("it is closed", func() bool {
		conn, err := net.Dial("tcp", way)
		if err != nil {
			return true
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(patienceForDetection)); err != nil {
			t.Fatal(err)
		}
		_, writeErr := conn.Write([]byte{'x'})
		_, readErr := conn.Read(make([]byte, 1))
		return writeErr != nil || readErr != nil
	})
	echoed(t, conn, in, "the old connection stays")
}

// TestRotation: connections stay open while certificates are renewed several times over.
func TestRotation(t *testing.T) {
	// Two thirds until renewal, and certificates count in whole seconds: this leaves two seconds to a busy machine.
	m := inproc.Start(t, inproc.Options{Lifetime: 8 * time.Second}, inproc.Shop)
	conn, in := dial(t, m.Pod("client").Address(t, "catalog-v1:9000"))
	if got, err := in.ReadString('\n'); err != nil || got != inproc.Greeting {
		t.Fatalf("greeted with %q, %v", got, err)
	}
	load := m.Client("client").Load("catalog-v1:80/")
	for round := range 2 {
		for _, owner := range []string{"client", "catalog-v1"} {
			identity := m.Pod(owner).Sidecar.Identity()
			before := identity.State().NotBefore
			m.Eventually("another certificate of "+owner, func() bool { return identity.State().NotBefore.After(before) })
		}
		echoed(t, conn, in, fmt.Sprint("round ", round))
	}
	load.More(m, 10)
	load.Lossless(t)
}
