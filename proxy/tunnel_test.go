package proxy_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
)

// upgraded is a connection of HTTP/1.1 after 101.
type upgraded struct {
	*net.TCPConn
	in *bufio.Reader
}

func (u upgraded) Read(p []byte) (int, error) { return u.in.Read(p) }

// upgradeClient opens a tunnel by Upgrade.
func upgradeClient(p *pod, to netip.AddrPort, protocol string, header http.Header) (switched, error) {
	conn := p.dial(to).(*net.TCPConn)
	_, _ = fmt.Fprintf(conn, "GET /chat?x=1 HTTP/1.1\r\nHost: cart.shop\r\nConnection: Upgrade\r\nUpgrade: %s\r\n", protocol)
	_ = header.Write(conn)
	_, _ = io.WriteString(conn, "\r\n")
	in := bufio.NewReader(conn)
	response, err := http.ReadResponse(in, nil)
	if err != nil {
		return switched{}, err
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(response.Body)
		return switched{}, fmt.Errorf("%s: %s", response.Status, body)
	}
	return switched{upgraded{conn, in}, response.Header}, nil
}

// upgradeServer is an application that takes any Upgrade.
func upgradeServer(t *testing.T, answer http.Header, serve func(switched)) netip.AddrPort {
	return tcpApp(t, func(conn net.Conn) {
		in := bufio.NewReader(conn)
		request, err := http.ReadRequest(in)
		if err != nil {
			_ = conn.Close()
			return
		}
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n", request.Header.Get("Upgrade"))
		_ = answer.Write(conn)
		_, _ = io.WriteString(conn, "\r\n")
		serve(switched{upgraded{conn.(*net.TCPConn), in}, request.Header})
	})
}

// switches are the ways to switch protocols, whichever the protocol.
var switches = map[string]struct {
	client func(p *pod, to netip.AddrPort, protocol string, header http.Header) (switched, error)
	server func(t *testing.T, answer http.Header, serve func(switched)) netip.AddrPort
	only   config.HTTPVersion
}{
	"HTTP/1.1": {upgradeClient, upgradeServer, config.HTTP1Only},
	"HTTP/2":   {connectClient, connectServer, config.HTTP2Only},
}

// eachSwitch runs a test from and to each version, through two sidecars.
func eachSwitch(t *testing.T, test func(t *testing.T, open func(protocol string) (switched, error), servers chan switched, web *pod)) {
	for from, client := range switches {
		for to, server := range switches {
			t.Run(from+" to "+to, func(t *testing.T) {
				servers := make(chan switched, 1)
				m := newMesh(t)
				cart := m.pod("cart", server.server(t, nil, func(s switched) {
					servers <- s
					<-t.Context().Done()
				}), nil)
				web := m.pod("web", netip.AddrPort{}, nil)
				web.knows(cartService, config.Detect, cart.endpoint())
				web.control.change(func(c *config.Config) { c.Clusters[cartService.String()].HTTP = server.only })
				test(t, func(protocol string) (switched, error) { return client.client(web, cartService, protocol, nil) }, servers, web)
			})
		}
	}
}

// TestHalfClose: each way of a tunnel ends on its own, whichever is first, and whatever the protocol in it.
func TestHalfClose(t *testing.T) {
	eachSwitch(t, func(t *testing.T, open func(string) (switched, error), servers chan switched, _ *pod) {
		for _, clientFirst := range []bool{true, false} {
			client, err := open("echo")
			if err != nil {
				t.Fatal(err)
			}
			server := receive(servers)
			first, second := client.tunnel, server.tunnel
			if !clientFirst {
				first, second = second, first
			}
			pass(t, first, second, "one\n")
			pass(t, second, first, "two\n")
			finish(t, first, second)
			// The other way goes on, and carries more than any window.
			pass(t, second, first, strings.Repeat("three", 200_000)+"\n")
			finish(t, second, first)
		}
	})
}

// pass sends text one way.
func pass(t *testing.T, from, to tunnel, text string) {
	t.Helper()
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(from, text)
		sent <- err
	}()
	got := make([]byte, len(text))
	_, err := io.ReadFull(to, got)
	if err != nil || string(got) != text {
		t.Fatalf("%d bytes sent, %.10q came, %v", len(text), got, err)
	}
	if err := receive(sent); err != nil {
		t.Fatal(err)
	}
}

// finish ends one way.
func finish(t *testing.T, from, to tunnel) {
	t.Helper()
	if err := from.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if n, err := to.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Fatalf("the other end reads %d bytes, %v", n, err)
	}
}

// TestTunnelsOutliveTimeouts: the time of a request is that until protocols were switched.
func TestTunnelsOutliveTimeouts(t *testing.T) {
	eachSwitch(t, func(t *testing.T, open func(string) (switched, error), servers chan switched, web *pod) {
		const timeout = 300 * time.Millisecond
		web.routes(cartService, []config.Entry{{Action: &config.Action{
			Timeout: timeout, BackendTimeout: timeout, Backends: []config.Backend{{Cluster: cartService.String(), Weight: 1}},
		}}})
		client, err := open("echo")
		if err != nil {
			t.Fatal(err)
		}
		server := receive(servers)
		for begin := time.Now(); time.Since(begin) < 2*timeout; {
			pass(t, client, server, "still there\n")
			pass(t, server, client, "indeed\n")
		}
	})
}

// TestRefusedSwitches: an answer that does not switch protocols does not look like one that does.
func TestRefusedSwitches(t *testing.T) {
	for from, client := range switches {
		for _, c := range []struct {
			status int
			to     config.HTTPVersion
			says   string
		}{
			{403, config.HTTP1Only, "403"},
			{200, config.HTTP1Only, map[string]string{"HTTP/1.1": "200 OK: plain", "HTTP/2": "502"}[from]},
			{403, config.HTTP2Only, "502"}, // net/http's server does not offer extended CONNECT
		} {
			t.Run(fmt.Sprint(from, c.status, c.to), func(t *testing.T) {
				app := app2(t, func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(c.status)
					_, _ = io.WriteString(w, "plain")
				})
				web := newMesh(t).pod("web", netip.AddrPort{}, nil)
				web.knows(cartService, config.Detect, config.Endpoint{Address: app})
				web.control.change(func(cfg *config.Config) { cfg.Clusters[cartService.String()].HTTP = c.to })
				_, err := client.client(web, cartService, "echo", nil)
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%v, want %s", err, c.says)
				}
			})
		}
	}
}

// TestUpgradesThatHTTP2HasNoNameFor: they are ignored, as servers may (RFC 9110 section 7.8).
func TestUpgradesThatHTTP2HasNoNameFor(t *testing.T) {
	web := newMesh(t).pod("web", netip.AddrPort{}, nil)
	web.knows(cartService, config.Detect, config.Endpoint{Address: app2(t, talkative)})
	web.control.change(func(c *config.Config) { c.Clusters[cartService.String()].HTTP = config.HTTP2Only })
	for _, protocol := range []string{"echo/1", "a, b"} {
		if _, err := upgradeClient(web, cartService, protocol, nil); err == nil || !strings.HasPrefix(err.Error(), "200 OK: GET cart.shop /chat?x=1") {
			t.Errorf("%q: %v", protocol, err)
		}
	}
}
