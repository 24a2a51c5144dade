//go:build differential

package differential

import (
	"context"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/leno-mesh/leno/internal/xds"
	"github.com/leno-mesh/leno/internal/xds/server"
)

// plane is the control plane. Both proxies come as the same pod, each at an address of its own.
type plane struct {
	*server.Server
	forLeno, forEnvoy string
}

func startPlane(t testing.TB, u *union, roots []byte) *plane {
	t.Helper()
	p := &plane{Server: server.New(server.Options{
		Peer: func(context.Context) (string, error) { return clientID, nil },
		Log:  slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	})}
	p.Publish(u.mesh)
	if err := p.PublishBundle(roots); err != nil {
		t.Fatal(err)
	}
	p.forLeno = serve(t, p.Server)
	p.forEnvoy = serve(t, &relay{server: p.Server, names: wildcard(u)})
	return p
}

func serve(t testing.TB, service discoveryv3.AggregatedDiscoveryServiceServer) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(server.GRPCOptions()...)
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(g, service)
	go g.Serve(listener) // ends with Stop
	t.Cleanup(g.Stop)
	return listener.Addr().String()
}

// wildcard is what Envoy means by its subscriptions to all listeners and all clusters.
func wildcard(u *union) map[string][]string {
	listeners := []string{xds.InboundName}
	for _, d := range u.destinations {
		listeners = append(listeners, xds.ListenerName(d.address))
	}
	clusters := []string{xds.InboundName}
	for sp := range maps.Keys(u.mesh.Endpoints) {
		clusters = append(clusters, xds.ClusterName(sp))
	}
	for sp := range maps.Values(u.outside) {
		clusters = append(clusters, xds.ClusterName(sp))
	}
	slices.Sort(clusters)
	return map[string][]string{xds.ListenerType: listeners, xds.ClusterType: clusters}
}

// relay stands between Envoy and the server. It is all that is changed of what the server says.
type relay struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	server *server.Server
	names  map[string][]string
}

type adsStream = grpc.BidiStreamingServer[discoveryv3.DeltaDiscoveryRequest, discoveryv3.DeltaDiscoveryResponse]

// DeltaAggregatedResources serves Envoy with the project's server.
func (r *relay) DeltaAggregatedResources(ads adsStream) error {
	return r.server.DeltaAggregatedResources(&relayed{adsStream: ads, names: maps.Clone(r.names)})
}

type relayed struct {
	adsStream
	names map[string][]string // not yet asked for
}

// Recv turns the first request of a type that Envoy wants all of into one by name.
func (r *relayed) Recv() (*discoveryv3.DeltaDiscoveryRequest, error) {
	req, err := r.adsStream.Recv()
	if err != nil {
		return nil, err
	}
	if names, first := r.names[req.GetTypeUrl()]; first {
		req.ResourceNamesSubscribe = names
		delete(r.names, req.GetTypeUrl())
	}
	return req, nil
}

// Send binds outbound listeners: each gets a free port of 127.0.0.1, which Envoy's admin interface tells.
func (r *relayed) Send(response *discoveryv3.DeltaDiscoveryResponse) error {
	for _, resource := range response.GetResources() {
		if response.GetTypeUrl() != xds.ListenerType || !strings.HasPrefix(resource.GetName(), "outbound/") {
			continue
		}
		listener := &listenerv3.Listener{}
		if err := resource.GetResource().UnmarshalTo(listener); err != nil {
			return err
		}
		listener.BindToPort = wrapperspb.Bool(true)
		listener.Address = &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: "127.0.0.1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 0},
		}}}
		body, err := proto.Marshal(listener)
		if err != nil {
			return err
		}
		resource.Resource = &anypb.Any{TypeUrl: xds.ListenerType, Value: body}
	}
	return r.adsStream.Send(response)
}
