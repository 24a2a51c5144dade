package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/xds/server"
	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/xdsclient"
)

type rawStream = grpc.BidiStreamingClient[discoveryv3.DeltaDiscoveryRequest, discoveryv3.DeltaDiscoveryResponse]

// raw opens a stream without our client, for what it would never do.
func (p *plane) raw(t *testing.T, identity string) rawStream {
	t.Helper()
	cc, err := p.dial(identity)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close() })
	s, err := discoveryv3.NewAggregatedDiscoveryServiceClient(cc).DeltaAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func hello(node string) *discoveryv3.DeltaDiscoveryRequest {
	return &discoveryv3.DeltaDiscoveryRequest{
		Node: &corev3.Node{Id: node}, TypeUrl: config.SecretType, ResourceNamesSubscribe: []string{config.TrustBundleName},
	}
}

func TestStrangersAreRefused(t *testing.T) {
	const hold = 20 * time.Millisecond
	for name, c := range map[string]struct {
		identity, node string
		mesh           *mesh.Mesh
		code           codes.Code
		says           string
	}{
		"no identity":            {"", "sidecar~shop/web-1", fleet(0), codes.PermissionDenied, "the peer is , but pod"},
		"somebody else":          {"spiffe://cluster.local/ns/shop/sa/thief", "sidecar~shop/web-1", fleet(0), codes.PermissionDenied, "the peer is spiffe://cluster.local/ns/shop/sa/thief, but pod shop/web-1 is " + clientID},
		"identity as a prefix":   {clientID + "2", "sidecar~shop/web-1", fleet(0), codes.PermissionDenied, "but pod"},
		"a pod that never comes": {clientID, "sidecar~shop/web-9", fleet(0), codes.PermissionDenied, "pod shop/web-9 is not known to the mesh, after waiting 20ms"},
		"no mesh yet":            {clientID, "sidecar~shop/web-1", nil, codes.Unavailable, "try again"},
		"no node":                {clientID, "", fleet(0), codes.InvalidArgument, "is not sidecar~namespace/pod"},
		"odd node":               {clientID, "sidecar~shop/web-1/x", fleet(0), codes.InvalidArgument, "is not sidecar~namespace/pod"},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, server.Options{Hold: hold})
			if c.mesh != nil {
				p.Publish(c.mesh)
			}
			s := p.raw(t, c.identity)
			if err := s.Send(hello(c.node)); err != nil {
				t.Fatal(err)
			}
			_, err := s.Recv()
			if status.Code(err) != c.code || !strings.Contains(status.Convert(err).Message(), c.says) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestPodMayComeAfterItsProxy(t *testing.T) {
	p := start(t, server.Options{})
	m := fleet(1)
	delete(m.Workloads, client)
	p.Publish(m)
	c := p.proxy(t, client, clientID, xdsclient.Options{})
	eventually(t, "waits", func() bool { return p.Stats().Streams == 1 })
	p.Publish(fleet(1))
	c.until(t, "inbound", func(cfg *config.Config) bool { return cfg.Inbound != nil })
}

func TestAnotherPodTakesTheName(t *testing.T) {
	p := start(t, server.Options{})
	p.Publish(fleet(0))
	s := p.raw(t, clientID)
	if err := s.Send(hello("sidecar~shop/web-1")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); err != nil { // the bundle's removal
		t.Fatal(err)
	}
	gone := fleet(0)
	delete(gone.Workloads, client)
	p.Publish(gone) // draining: the stream stays
	if err := p.PublishBundle([]byte("ROOTS")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); err != nil {
		t.Fatal(err)
	}
	other := fleet(0)
	other.Workloads[client] = &mesh.Workload{Name: client, Identity: "spiffe://cluster.local/ns/shop/sa/other"}
	p.Publish(other)
	if _, err := s.Recv(); status.Code(err) != codes.PermissionDenied {
		t.Errorf("%v", err)
	}
}

func TestOneNodeHasFewStreams(t *testing.T) {
	p := start(t, server.Options{Limits: server.Limits{Streams: 2}})
	p.Publish(fleet(0))
	for i := range 3 {
		s := p.raw(t, clientID)
		if err := s.Send(hello("sidecar~shop/web-1")); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Recv(); i < 2 && err != nil || i == 2 && status.Code(err) != codes.ResourceExhausted {
			t.Errorf("stream %d: %v", i, err)
		}
	}
}

func TestGarbageHurtsNobodyElse(t *testing.T) {
	p := start(t, server.Options{})
	p.Publish(fleet(1))
	c := p.proxy(t, client, clientID, xdsclient.Options{})
	c.outbound(t, "10.96.0.0:80")
	s := p.raw(t, clientID)
	if err := s.Send(&discoveryv3.DeltaDiscoveryRequest{Node: &corev3.Node{Id: "sidecar~shop/web-1"}, TypeUrl: "garbage"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); status.Code(err) != codes.InvalidArgument {
		t.Errorf("%v", err)
	}
	p.Publish(fleet(0))
	c.until(t, "nothing", func(cfg *config.Config) bool { return len(cfg.Clusters) == 0 })
	eventually(t, "one stream is left and one was garbage", func() bool { s := p.Stats(); return s.Streams == 1 && s.Garbage == 1 })
}

func TestSlowProxyCostsOnlyItself(t *testing.T) {
	p := start(t, server.Options{Limits: server.Limits{Stall: 100 * time.Millisecond}})
	p.Publish(fleet(1))
	s := p.raw(t, clientID)
	if err := s.Send(hello("sidecar~shop/web-1")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); err != nil {
		t.Fatal(err)
	}
	c := p.proxy(t, client, clientID, xdsclient.Options{})
	c.outbound(t, "10.96.0.0:80")
	// More than the network buffers, while the slow one does not read.
	for i := byte('a'); p.Stats().Slow == 0; i++ {
		if i > 'z' {
			i = 'a'
		}
		if err := p.PublishBundle(bytes.Repeat([]byte{i}, 1<<20)); err != nil {
			t.Fatal(err)
		}
		select {
		case <-c.bundles: // the other one gets each
		case <-time.After(5 * time.Second):
			t.Fatal("the other proxy waits")
		}
	}
	eventually(t, "only the slow one was closed", func() bool { return p.Stats().Streams == 1 && c.Stats().Connected })
}

func TestTLSPeer(t *testing.T) {
	with := func(info credentials.AuthInfo) context.Context {
		return peer.NewContext(t.Context(), &peer.Peer{AuthInfo: info})
	}
	chain := func(uris ...string) credentials.TLSInfo {
		leaf := &x509.Certificate{}
		for _, u := range uris {
			parsed, err := url.Parse(u)
			if err != nil {
				t.Fatal(err)
			}
			leaf.URIs = append(leaf.URIs, parsed)
		}
		return credentials.TLSInfo{State: tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{leaf}}}}
	}
	if id, err := server.TLSPeer(with(chain(clientID))); err != nil || id != clientID {
		t.Errorf("%q, %v", id, err)
	}
	for name, ctx := range map[string]context.Context{
		"no peer": t.Context(), "no TLS": with(nil), "no verified chain": with(credentials.TLSInfo{}),
		"no URI": with(chain()), "two URIs": with(chain(clientID, clientID)), "no SPIFFE id": with(chain("https://example.org")),
	} {
		if id, err := server.TLSPeer(ctx); err == nil {
			t.Errorf("%s: %q", name, id)
		}
	}
}

func TestNackIsShown(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	p := start(t, server.Options{Now: func() time.Time { return now }})
	p.Publish(fleet(0))
	s := p.raw(t, clientID)
	if err := s.Send(hello("sidecar~shop/web-1")); err != nil {
		t.Fatal(err)
	}
	r, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: r.TypeUrl, ResponseNonce: r.Nonce, ErrorDetail: status.New(codes.InvalidArgument, "Secret \"trust-bundle\": no").Proto()}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the nack", func() bool { return p.Stats().Nacks == 1 })
	got := p.Proxies()[0]
	state := got.Types[config.SecretType]
	if got.Node != "sidecar~shop/web-1" || got.Identity != clientID || state.NackMessage != `Secret "trust-bundle": no` || state.NackedAt != now || state.Sent != 1 || state.Acked != 0 {
		t.Errorf("%+v", got)
	}
}
