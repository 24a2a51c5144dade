package gateway

import (
	"context"
	"encoding/pem"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/leno-mesh/leno/internal/mesh"
)

// TestListenersComeAndGo: ports are opened and closed as the configuration says; connections that are open go on.
func TestListenersComeAndGo(t *testing.T) {
	g := Start(t)
	sp := g.Backend("greeter", nil, at(greeter(t, "hello", nil)))
	g.Ports(plainTCP(9000, split(share(sp, 1))), plainTCP(9001, split(share(sp, 1))))
	address := g.Address(9000)
	open := must(net.DialTimeout("tcp", address, patience))
	if got := greeting(open); got != "hello" {
		t.Fatalf("greeting %q", got)
	}
	g.Change(func(_ *mesh.Mesh, one *mesh.Gateway) { one.Ports = one.Ports[1:] })
	g.Eventually("the port is closed", func() bool {
		conn, err := net.DialTimeout("tcp", address, patience)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	if _, err := open.Write([]byte("still here\n")); err != nil || greeting(open) != "still here" {
		t.Error("the connection that was open did not go on")
	}
	other := must(net.DialTimeout("tcp", g.Address(9001), patience))
	if got := greeting(other); got != "hello" {
		t.Errorf("greeting of the port that stayed: %q", got)
	}
	g.Ports(plainTCP(9000, split(share(sp, 1))))
	g.Eventually("the port is open again", func() bool { return hello(g.Address(9000)) == "hello" })
}

// TestReady: a gateway is ready when its first configuration is open as a whole, and then whatever else is to be opened.
func TestReady(t *testing.T) {
	g := Start(t, plainTCP(9000, nil), plainTCP(takenPort, nil))
	health := client{t: t, address: g.Health.String()}
	g.Eventually("the port that is taken is the reason", func() bool {
		a, err := health.get("http://health/ready")
		return err == nil && a.status == http.StatusServiceUnavailable && strings.Contains(a.text, "port 666")
	})
	g.Ports(plainTCP(9000, nil))
	g.answered(health, "http://health/ready", http.StatusOK)
	g.Change(func(_ *mesh.Mesh, one *mesh.Gateway) {
		one.Ports = []mesh.GatewayPort{plainTCP(9000, nil), plainTCP(takenPort, nil), plainTCP(9001, nil)}
	})
	g.Address(9001)
	if a, err := health.get("http://health/ready"); err != nil || a.status != http.StatusOK {
		t.Errorf("a later port takes the gateway away from its clients: %v %s", err, a.text)
	}
}

// TestKeysStayHidden: neither what the proxy shows of itself nor what it logs has a private key in it.
func TestKeysStayHidden(t *testing.T) {
	g := Start(t)
	p := newPKI()
	sp := g.Backend("app", nil, at(app(t, "app", nil)))
	c := p.secret("c", "www.test")
	broken := p.secret("broken", "broken.test")
	broken.Key = append([]byte("-----BEGIN PRIVATE KEY-----\nc2VjcmV0IQ==\n-----END PRIVATE KEY-----\n"), broken.Key...)
	g.Ports(mesh.GatewayPort{Number: 443, Listeners: []*mesh.Listener{
		https("www.test", c, host("", to(sp))), https("broken.test", broken, host("", to(sp))),
	}})
	g.from(client{t: t, address: g.Address(443), tls: trusts(p)}, "https://www.test/", "app")
	g.refused(client{t: t, address: g.Address(443), tls: trusts(p)}, "https://broken.test/")
	block, _ := pem.Decode(c.Key)
	dump := ""
	g.Eventually("the configuration is shown", func() bool {
		a, err := client{t: t, address: g.Admin.String()}.get("http://admin/config_dump")
		dump = a.text
		return err == nil && strings.Contains(dump, "certificate/edge/c")
	})
	certs := g.answered(client{t: t, address: g.Admin.String()}, "http://admin/certs", 200).text
	for what, text := range map[string]string{"config_dump": dump, "certs": certs, "log": g.Log.String()} {
		if strings.Contains(text, "PRIVATE KEY") || strings.Contains(text, "c2VjcmV0") || strings.Contains(text, string(block.Bytes)) ||
			strings.Contains(text, strings.Split(string(c.Key), "\n")[1]) || strings.Contains(text, `"D":`) {
			t.Errorf("a private key is in the %s", what)
		}
	}
}

// TestGRPC: calls of all kinds pass a gateway, in HTTP/2 whatever the port of the backend is declared as.
func TestGRPC(t *testing.T) {
	g := Start(t)
	p := newPKI()
	backend := func(name string, how *mesh.BackendTLS, protocol mesh.Protocol, options ...grpc.ServerOption) mesh.ServicePort {
		listener := must(net.Listen("tcp", "127.0.0.1:0"))
		server := grpc.NewServer(options...)
		testpb.RegisterTestServiceServer(server, interop.NewTestServer())
		go func() { _ = server.Serve(listener) }()
		t.Cleanup(server.Stop)
		return g.Backend(name, func(port *mesh.Port) { port.Protocol, port.TLS = protocol, how }, at(listener.Addr()))
	}
	secured := &mesh.BackendTLS{Hostname: "app.test", Roots: p.Bundle().PEM()}
	creds := grpc.Creds(credentials.NewTLS(p.server("app.test")))
	g.Ports(plainHTTP(80,
		host("declared", to(backend("declared", nil, mesh.ProtocolHTTP2))),
		host("undeclared", to(backend("undeclared", nil, mesh.ProtocolUndeclared))),
		host("secured", to(backend("secured", secured, mesh.ProtocolHTTP2, creds))),
		host("secured-undeclared", to(backend("secured-undeclared", secured, mesh.ProtocolUndeclared, creds))),
	))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, name := range []string{"declared", "undeclared", "secured", "secured-undeclared"} {
		conn := must(grpc.NewClient("passthrough:///"+g.Address(80), grpc.WithAuthority(name), grpc.WithTransportCredentials(insecure.NewCredentials())))
		service := testpb.NewTestServiceClient(conn)
		if _, err := service.EmptyCall(ctx, &testpb.Empty{}); err != nil {
			t.Errorf("%s: %v", name, err)
		} else {
			interop.DoPingPong(ctx, service)
			interop.DoServerStreaming(ctx, service)
		}
		_ = conn.Close()
	}
}

// TestDrain: a gateway that is told to stop loses no request, neither of clients that keep their connection nor of new ones, until
// they have gone elsewhere.
func TestDrain(t *testing.T) {
	g := Start(t)
	sp := g.Backend("app", nil, at(app(t, "app", nil)))
	g.Ports(plainHTTP(80, host("", to(sp))))
	address := g.Address(80)
	g.from(client{t: t, address: address}, "http://example.com/", "app")
	var clients sync.WaitGroup
	var served, lost atomic.Int64
	elsewhere := make(chan struct{}) // closed when clients have learnt that the endpoint is gone
	for i := range 6 {
		clients.Go(func() {
			c := client{t: t, address: address, http2: i%2 == 0}
			for {
				select {
				case <-elsewhere:
					return
				default:
				}
				if a, err := c.get("http://example.com/"); err != nil || a.status != 200 {
					lost.Add(1)
					t.Errorf("lost: %v %d", err, a.status)
					return
				}
				served.Add(1)
			}
		})
	}
	// One that keeps its connection is told that it ends.
	keeps := &http.Client{Transport: &http.Transport{}}
	told := make(chan struct{})
	clients.Go(func() {
		defer close(told)
		for {
			response, err := keeps.Get("http://" + address + "/")
			if err != nil {
				t.Errorf("lost on a kept connection: %v", err)
				return
			}
			_ = response.Body.Close()
			if response.Close {
				return
			}
		}
	})
	g.Eventually("clients are served", func() bool { return served.Load() > 50 })
	g.Stop()
	g.answered(client{t: t, address: g.Health.String()}, "http://health/ready", http.StatusServiceUnavailable)
	before := served.Load()
	g.Eventually("clients are served in the drain", func() bool { return served.Load() > before+50 })
	close(elsewhere)
	<-told
	clients.Wait()
	<-g.Ended
	if lost.Load() > 0 {
		t.Errorf("%d requests lost of %d", lost.Load(), served.Load())
	}
	if _, err := net.DialTimeout("tcp", address, patience); err == nil {
		t.Error("the port is still open")
	}
}
