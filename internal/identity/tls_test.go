package identity_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/internal/identity/devca"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func id(sa string) identity.ID { return must(identity.New("cluster.local", "shop", sa)) }

// handshake runs both sides over a pipe and returns what each of them thinks.
func handshake(client, server *tls.Config) (peer identity.ID, clientErr, serverErr error) {
	a, b := net.Pipe()
	c, s := tls.Client(a, client), tls.Server(b, server)
	done := make(chan error)
	go func() {
		err := s.Handshake()
		if err == nil {
			_, err = s.Write([]byte{1}) // with TLS 1.3 the client learns of a refusal only by reading
		}
		_ = b.Close()
		done <- err
	}()
	clientErr = c.Handshake()
	if clientErr == nil {
		_, clientErr = c.Read(make([]byte, 1))
	}
	_ = a.Close()
	serverErr = <-done
	if serverErr == nil {
		peer, serverErr = identity.PeerID(s.ConnectionState())
	}
	return peer, clientErr, serverErr
}

func TestHandshakeMatrix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, current, foreign := must(devca.New(240*time.Hour)), must(devca.New(240*time.Hour)), must(devca.New(240*time.Hour))
		both := identity.Union(old.Bundle(), current.Bundle())
		issue := func(ca *devca.CA, id identity.ID, lifetime time.Duration, roots *identity.Bundle) identity.Source {
			return identity.Fixed{SVID: must(ca.SVID(id, lifetime)).WithRoots(roots)}
		}
		day := 24 * time.Hour
		expired := issue(current, id("late"), time.Hour, current.Bundle())
		time.Sleep(2 * time.Hour)
		cart := issue(current, id("cart"), day, current.Bundle())
		web := issue(current, id("web"), day, current.Bundle())
		elsewhere := must(identity.New("example.org", "shop", "web"))

		for _, tc := range []struct {
			name           string
			client, server identity.Source
			want           identity.ID
			fail           string // part of the error of the side that refuses; empty: works
		}{
			{"same root", web, cart, id("cart"), ""},
			{"another workload than expected", web, cart, id("pay"), "expected spiffe://cluster.local/ns/shop/sa/pay"},
			{"server of a foreign root", web, issue(foreign, id("cart"), day, both), id("cart"), "unknown authority"},
			{"client of a foreign root", issue(foreign, id("web"), day, both), cart, id("cart"), "unknown authority"},
			{"client of a foreign trust domain", issue(current, elsewhere, day, both), cart, id("cart"), "trust domain"},
			{"server's certificate expired", web, expired, id("late"), "expired"},
			{"client's certificate expired", expired, cart, id("cart"), "expired"},
			{"client has none", identity.Fixed{}, cart, id("cart"), "no workload certificate yet"},
			{"server has none", web, identity.Fixed{}, id("cart"), "no workload certificate yet"},
			{"rotation: new leaf to one who knows both", issue(current, id("web"), day, both), issue(old, id("cart"), day, both), id("cart"), ""},
			{"rotation: old leaf to one who knows both", issue(old, id("web"), day, both), issue(current, id("cart"), day, both), id("cart"), ""},
			{"rotation: old leaf to one who knows only the new", issue(old, id("web"), day, both), cart, id("cart"), "unknown authority"},
		} {
			peer, clientErr, serverErr := handshake(identity.ClientTLS(tc.client, tc.want, "leno-tcp"), identity.ServerTLS(tc.server, "leno-tcp"))
			got := fmt.Sprint(clientErr, " / ", serverErr)
			wantPeer := id("web")
			switch {
			case tc.fail == "" && (clientErr != nil || serverErr != nil || peer != wantPeer):
				t.Errorf("%s: peer %v, errors %s", tc.name, peer, got)
			case tc.fail != "" && (clientErr == nil || serverErr == nil || !strings.Contains(got, tc.fail)):
				t.Errorf("%s: errors %s, want %q and both sides to fail", tc.name, got, tc.fail)
			}
		}
	})
}

func TestHandshakeWithoutClientCertificate(t *testing.T) {
	ca := must(devca.New(time.Hour))
	server := identity.ServerTLS(identity.Fixed{SVID: must(ca.SVID(id("cart"), time.Hour))}, "leno-tcp")
	_, _, err := handshake(&tls.Config{InsecureSkipVerify: true, NextProtos: []string{"leno-tcp"}}, server)
	if err == nil {
		t.Error("a client without certificate was accepted")
	}
	_, _, err = handshake(&tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, NextProtos: []string{"leno-tcp"}}, server)
	if err == nil {
		t.Error("TLS 1.2 was accepted")
	}
}

func TestManagerTLS(t *testing.T) {
	ca, foreign := must(devca.New(time.Hour)), must(devca.New(time.Hour))
	const name = "leno-manager.leno-system.svc"
	certificate := must(ca.Server(time.Hour, name))
	server := identity.ManagerServerTLS(func() (*tls.Certificate, error) { return certificate, nil }, ca.Bundle)
	roots := func() (*identity.Bundle, error) { return ca.Bundle(), nil }
	own := identity.Fixed{SVID: must(ca.SVID(id("web"), time.Hour))}

	peer, clientErr, serverErr := handshake(identity.ManagerClientTLS(name, roots, own), server)
	if clientErr != nil || serverErr != nil || peer != id("web") {
		t.Errorf("with a certificate: %v, %v, %v", peer, clientErr, serverErr)
	}
	_, clientErr, serverErr = handshake(identity.ManagerClientTLS(name, roots, nil), server)
	if clientErr != nil || serverErr == nil || !strings.Contains(serverErr.Error(), "no identity") {
		t.Errorf("without: the handshake must succeed and PeerID must not: %v, %v", clientErr, serverErr)
	}
	_, clientErr, _ = handshake(identity.ManagerClientTLS("other.leno-system.svc", roots, own), server)
	if clientErr == nil {
		t.Error("a manager of another name was accepted")
	}
	_, clientErr, _ = handshake(identity.ManagerClientTLS(name, func() (*identity.Bundle, error) { return foreign.Bundle(), nil }, own), server)
	if clientErr == nil {
		t.Error("a manager of a foreign root was accepted")
	}
	stranger := identity.Fixed{SVID: must(foreign.SVID(id("web"), time.Hour))}
	if _, _, serverErr = handshake(identity.ManagerClientTLS(name, roots, stranger), server); serverErr == nil {
		t.Error("a client of a foreign root was accepted")
	}
}
