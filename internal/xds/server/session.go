package server

import (
	"errors"
	"maps"
	"slices"
	"strconv"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/xds"
)

// session is what the server knows of one stream: pure, no network, no clock. One goroutine owns it.
type session struct {
	who mesh.Name
	// gateway tells that the proxy is one of a gateway: it may ask for all of its listeners by a wildcard.
	gateway bool
	limits  Limits
	view    *view
	types   map[string]*subscription
	names   int // over all types
	nonce   uint64
	// refused is told of each resource that could not be translated.
	refused func(typeURL, name string, err error)
	// unknown is told of each connection to an address that the mesh has nothing at.
	unknown func(mesh.Sighting)
}

// subscription is what a stream asked for of one type.
type subscription struct {
	names map[string]told
	// pending names may differ from what was told; gone ones are unknown now, and their removal is to be told.
	// Both are subsets of names, so they are bounded by it.
	pending, gone map[string]struct{}
	nonce         string // of the last response
	// wildcard asks for all listeners of the asking gateway, whichever they are; byWildcard are the names that came in by it.
	// It is a subset of names.
	wildcard   bool
	byWildcard map[string]struct{}
}

// told is what the proxy has of a resource: a version, or, if answered without one, the word that there is none.
type told struct {
	answered bool
	version  string
}

// step is one entry of the order in which changes are told.
type step struct {
	typeURL  string
	removals bool // tell removals, too; else they wait in gone
}

// order makes before it breaks: what is referred to is told before what refers to it, and taken away after.
var order = []step{
	{xds.SecretType, true},
	{xds.ClusterType, false},
	{xds.EndpointType, false},
	{xds.ListenerType, true},
	{xds.RouteType, true},
	{xds.ClusterType, true},
	{xds.EndpointType, true},
}

func newSession(who mesh.Name, limits Limits) *session {
	s := &session{
		who: who, limits: limits, types: map[string]*subscription{},
		refused: func(string, string, error) {}, unknown: func(mesh.Sighting) {},
	}
	for _, o := range order {
		s.types[o.typeURL] = &subscription{
			names: map[string]told{}, pending: map[string]struct{}{}, gone: map[string]struct{}{}, byWildcard: map[string]struct{}{},
		}
	}
	return s
}

// adopt makes v the state to tell: every name may differ now.
func (s *session) adopt(v *view) {
	if v == s.view {
		return
	}
	s.view = v
	for _, sub := range s.types {
		for name := range sub.names {
			sub.pending[name] = struct{}{}
		}
		clear(sub.gone)
	}
	s.expand(s.types[xds.ListenerType])
}

// expand subscribes to what the wildcard stands for now. Names that it does not stand for any more are found to be unknown.
func (s *session) expand(sub *subscription) {
	if !sub.wildcard || s.view == nil || s.view.mesh == nil {
		return
	}
	for _, name := range xds.GatewayListeners(s.view.mesh, s.who) {
		if _, ok := sub.names[name]; ok || s.names >= s.limits.Names {
			continue
		}
		s.names++
		sub.names[name], sub.pending[name] = told{}, struct{}{}
		sub.byWildcard[name] = struct{}{}
	}
}

// forget drops a name, and whatever is to be told about it.
func (s *session) forget(sub *subscription, name string) {
	if _, ok := sub.names[name]; !ok {
		return
	}
	s.names--
	delete(sub.names, name)
	delete(sub.pending, name)
	delete(sub.gone, name)
	delete(sub.byWildcard, name)
}

// verdict is the proxy's word on the last response of a type.
type verdict struct {
	acked, nacked bool
	message       string // of the nack
}

// request takes a request of the proxy. The error is a gRPC status and ends the stream.
func (s *session) request(req *discoveryv3.DeltaDiscoveryRequest) (verdict, error) {
	sub := s.types[req.GetTypeUrl()]
	if sub == nil {
		return verdict{}, status.Errorf(codes.InvalidArgument, "type URL %.200q is not served", req.GetTypeUrl())
	}
	for _, name := range req.GetResourceNamesUnsubscribe() {
		if name == "*" {
			s.endWildcard(sub)
		}
		s.forget(sub, name)
	}
	implicit := req.GetTypeUrl() == xds.ListenerType && s.gateway && len(sub.names) == 0 && sub.nonce == "" &&
		len(req.GetResourceNamesSubscribe())+len(req.GetResourceNamesUnsubscribe()) == 0
	if implicit {
		s.beginWildcard(sub, req.GetInitialResourceVersions()) // an Envoy's first request names nothing
	}
	for _, name := range req.GetResourceNamesSubscribe() {
		if name == "*" && req.GetTypeUrl() == xds.ListenerType && s.gateway {
			s.beginWildcard(sub, req.GetInitialResourceVersions())
			continue
		}
		if err := s.subscribe(sub, name, req.GetInitialResourceVersions()[name]); err != nil {
			return verdict{}, err
		}
	}
	if !sub.wildcard && len(sub.names) == 0 && len(req.GetResourceNamesUnsubscribe()) == 0 && sub.nonce == "" &&
		(req.GetTypeUrl() == xds.ListenerType || req.GetTypeUrl() == xds.ClusterType) {
		return verdict{}, errWildcard
	}
	switch {
	case req.GetResponseNonce() == "" || req.GetResponseNonce() != sub.nonce:
		return verdict{}, nil // no answer, or one to an older response
	case req.GetErrorDetail() != nil:
		message := req.GetErrorDetail().GetMessage()
		return verdict{nacked: true, message: message[:min(len(message), maxNack)]}, nil
	}
	return verdict{acked: true}, nil
}

// maxNack bounds what is kept of a proxy's words.
const maxNack = 2 << 10

var errWildcard = status.Error(codes.InvalidArgument, "wildcard subscriptions are not served: subscribe to resources by name")

// beginWildcard subscribes to all listeners of the gateway. What the proxy has of an earlier stream is told anew, or as gone.
func (s *session) beginWildcard(sub *subscription, has map[string]string) {
	sub.wildcard = true
	s.expand(sub)
	for _, name := range slices.Sorted(maps.Keys(has)) {
		if _, ok := sub.names[name]; !ok {
			if s.names >= s.limits.Names || len(name) > s.limits.NameLength {
				continue
			}
			s.names++
			sub.byWildcard[name] = struct{}{}
		}
		sub.names[name] = told{answered: true, version: has[name]}
		sub.pending[name] = struct{}{}
	}
}

func (s *session) endWildcard(sub *subscription) {
	sub.wildcard = false
	for name := range sub.byWildcard {
		s.forget(sub, name)
	}
}

func (s *session) subscribe(sub *subscription, name, has string) error {
	switch {
	case name == "*":
		return errWildcard
	case len(name) > s.limits.NameLength:
		return status.Errorf(codes.InvalidArgument, "a resource name of %d bytes is longer than %d", len(name), s.limits.NameLength)
	}
	if _, ok := sub.names[name]; !ok {
		if s.names >= s.limits.Names {
			return status.Errorf(codes.ResourceExhausted, "more than %d resources subscribed on one stream", s.limits.Names)
		}
		s.names++
	}
	delete(sub.byWildcard, name)
	// Asking again for what was told means that it is wanted again.
	sub.names[name] = told{answered: has != "", version: has}
	sub.pending[name] = struct{}{}
	delete(sub.gone, name)
	return nil
}

// next is the next response to send, nil when everything was told.
func (s *session) next() *discoveryv3.DeltaDiscoveryResponse {
	if s.view == nil || s.view.mesh == nil {
		return nil
	}
	for _, o := range order {
		if r := s.step(o); r != nil {
			s.nonce++
			r.Nonce = strconv.FormatUint(s.nonce, 10)
			r.SystemVersionInfo = strconv.FormatUint(s.view.generation, 10)
			s.types[o.typeURL].nonce = r.Nonce
			return r
		}
	}
	return nil
}

// step collects changes of one type until a response is full; nil when there is nothing to tell.
func (s *session) step(o step) *discoveryv3.DeltaDiscoveryResponse {
	sub := s.types[o.typeURL]
	if len(sub.pending)+len(sub.gone) == 0 {
		return nil
	}
	r := &discoveryv3.DeltaDiscoveryResponse{TypeUrl: o.typeURL}
	size := 0
	for _, name := range slices.Sorted(maps.Keys(sub.pending)) {
		if size >= s.limits.ResponseBytes {
			break
		}
		delete(sub.pending, name)
		had := sub.names[name]
		resource, err := s.view.lookup(s.who, o.typeURL, name)
		switch {
		case errors.Is(err, xds.ErrUnknown):
			if !had.answered || had.version != "" {
				sub.gone[name] = struct{}{}
			}
			if !had.answered && o.typeURL == xds.ListenerType {
				s.sight(name)
			}
		case err != nil:
			s.refused(o.typeURL, name, err) // the proxy keeps what it has
		case resource.Version != had.version:
			size += len(resource.Body) + len(name)
			r.Resources = append(r.Resources, &discoveryv3.Resource{
				Name: name, Version: resource.Version,
				Resource: &anypb.Any{TypeUrl: o.typeURL, Value: resource.Body},
			})
			sub.names[name] = told{answered: true, version: resource.Version}
		}
	}
	if o.removals && len(sub.pending) == 0 {
		r.RemovedResources = slices.Sorted(maps.Keys(sub.gone))
		for name := range sub.gone {
			sub.names[name] = told{answered: true}
			if _, ok := sub.byWildcard[name]; ok {
				s.forget(sub, name) // nobody asked for it by name
			}
		}
		clear(sub.gone)
	}
	if len(r.Resources)+len(r.RemovedResources) == 0 {
		return nil
	}
	return r
}

// sight tells of a listener that the proxy asked for and that there is not. By name, only the proxy knows what it refuses, and says so
// by a name of another kind; else the policy alone tells what becomes of the connection.
func (s *session) sight(name string) {
	if to, host, ok := xds.ParseRefusedName(name); ok { // whatever the policy has become meanwhile
		s.unknown(mesh.Sighting{Pod: s.who, To: to, Host: host, Policy: mesh.OutboundRegistryOnly})
		return
	}
	policy := s.view.mesh.Settings.Outbound
	if to, ok := xds.ParseListenerName(name); ok && !to.Addr().IsUnspecified() && policy != mesh.OutboundRegistryOnly {
		s.unknown(mesh.Sighting{Pod: s.who, To: to, Policy: policy})
	}
}
