package server

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leno-mesh/leno/internal/mesh"
)

type adsStream = grpc.BidiStreamingServer[discoveryv3.DeltaDiscoveryRequest, discoveryv3.DeltaDiscoveryResponse]

// stream is one open stream. Its handler's goroutine owns the session; one goroutine receives and one sends, both end
// with the stream's context, which ends when the handler returns.
type stream struct {
	server   *Server
	wake     chan struct{} // a new view; one is enough, whatever came meanwhile
	requests chan *discoveryv3.DeltaDiscoveryRequest
	outgoing chan *discoveryv3.DeltaDiscoveryResponse
	sent     chan struct{} // the last outgoing was sent
	failed   chan error    // one for each of the two goroutines

	identity string
	session  *session
	proxy    Proxy // guarded by server.mu
}

// DeltaAggregatedResources serves one proxy until it goes away or misbehaves.
func (s *Server) DeltaAggregatedResources(ads adsStream) error {
	st := &stream{
		server:   s,
		wake:     make(chan struct{}, 1),
		requests: make(chan *discoveryv3.DeltaDiscoveryRequest),
		outgoing: make(chan *discoveryv3.DeltaDiscoveryResponse),
		sent:     make(chan struct{}, 1),
		failed:   make(chan error, 2),
	}
	s.mu.Lock()
	s.streams[st] = struct{}{}
	s.mu.Unlock()
	s.stats.opened.Add(1)
	defer func() {
		s.mu.Lock()
		delete(s.streams, st)
		s.mu.Unlock()
	}()
	go st.receive(ads)
	go st.send(ads)
	err := st.run(ads)
	switch status.Code(err) {
	case codes.PermissionDenied:
		s.stats.denied.Add(1)
	case codes.InvalidArgument, codes.ResourceExhausted:
		s.stats.garbage.Add(1)
	case codes.Aborted:
		s.stats.slow.Add(1)
	default:
		return err
	}
	s.log.Warn("xDS stream refused", "node", st.proxy.Node, "identity", st.identity, "error", err)
	return err
}

func (st *stream) receive(ads adsStream) {
	for {
		req, err := ads.Recv()
		if err != nil {
			st.failed <- err
			return
		}
		select {
		case st.requests <- req:
		case <-ads.Context().Done():
			return
		}
	}
}

func (st *stream) send(ads adsStream) {
	for {
		select {
		case r := <-st.outgoing:
			if err := ads.Send(r); err != nil {
				st.failed <- err
				return
			}
			st.sent <- struct{}{} // has room: there is one response on its way at most
		case <-ads.Context().Done():
			return
		}
	}
}

// run serves requests and views in turn, with one response on its way at most: what changes meanwhile is told together.
func (st *stream) run(ads adsStream) error {
	ctx := ads.Context()
	req, err := st.first(ctx)
	if req == nil {
		return err
	}
	// Tell the proxy that it was let in: there may be nothing else to tell.
	if err := ads.SendHeader(nil); err != nil {
		return err
	}
	if err := st.take(req); err != nil {
		return err
	}
	var stalled <-chan time.Time
	sending := false
	for {
		st.session.adopt(st.server.view.Load())
		if err := st.stillWho(); err != nil {
			return err
		}
		if !sending {
			if r := st.session.next(); r != nil {
				st.note(r)
				select {
				case st.outgoing <- r: // at once: the sender is idle
				case <-ctx.Done():
					return status.FromContextError(ctx.Err()).Err()
				}
				sending, stalled = true, time.After(st.server.limits.Stall)
			}
		}
		select {
		case req := <-st.requests:
			if err := st.take(req); err != nil {
				return err
			}
		case <-st.wake:
		case <-st.sent:
			sending, stalled = false, nil
		case <-stalled:
			return status.Errorf(codes.Aborted, "a response was not read within %v", st.server.limits.Stall)
		case err := <-st.failed:
			return ended(err)
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
}

// ended is nil when the proxy closed its side in order.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// first waits for the first request and authenticates the proxy by it. Without a request, the stream is over.
func (st *stream) first(ctx context.Context) (*discoveryv3.DeltaDiscoveryRequest, error) {
	s := st.server
	var req *discoveryv3.DeltaDiscoveryRequest
	timer := time.NewTimer(s.limits.Stall)
	defer timer.Stop()
	select {
	case req = <-st.requests:
	case err := <-st.failed:
		return nil, ended(err)
	case <-timer.C:
		return nil, status.Error(codes.Aborted, "no request came on the stream")
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	node := req.GetNode().GetId()
	who, err := parseNode(node)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if st.identity, err = s.peer(ctx); err != nil {
		return nil, status.Error(codes.PermissionDenied, err.Error())
	}
	if err := st.admit(ctx, who); err != nil {
		return nil, err
	}
	st.session = newSession(who, s.limits)
	st.session.gateway = strings.HasPrefix(node, gatewayPrefix)
	st.session.refused = func(typeURL, name string, err error) {
		s.log.Error("resource cannot be translated: the proxy keeps the one it has", "type", typeURL, "name", name, "error", err)
	}
	st.session.unknown = s.unknown
	s.mu.Lock()
	defer s.mu.Unlock()
	streams := 0
	for other := range s.streams {
		if other.proxy.Node == node {
			streams++
		}
	}
	if streams >= s.limits.Streams {
		return nil, status.Errorf(codes.ResourceExhausted, "node %s has %d streams open", node, streams)
	}
	st.proxy = Proxy{Node: node, Identity: st.identity, Connected: s.now(), Types: map[string]TypeState{}}
	return req, nil
}

// admit waits until the mesh has the pod with the identity that the peer proved, but not for ever: a proxy may be faster
// than the news of its pod.
func (st *stream) admit(ctx context.Context, who mesh.Name) error {
	timer := time.NewTimer(st.server.hold)
	defer timer.Stop()
	for {
		m := st.server.view.Load().mesh
		if m != nil {
			if w := m.Workloads[who]; w != nil {
				return st.check(w)
			}
		}
		select {
		case <-st.wake:
		case <-timer.C:
			if m == nil {
				return status.Error(codes.Unavailable, "the control plane has not seen the whole cluster yet: try again")
			}
			return status.Errorf(codes.PermissionDenied, "pod %s is not known to the mesh, after waiting %v for it", who, st.server.hold)
		case err := <-st.failed:
			return err
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
}

func (st *stream) check(w *mesh.Workload) error {
	if w.Identity == "" || w.Identity != st.identity {
		return status.Errorf(codes.PermissionDenied, "the peer is %s, but pod %s is %s", st.identity, w.Name, w.Identity)
	}
	return nil
}

// stillWho ends the stream when another pod took the name. A pod that is gone from the mesh may still be draining.
func (st *stream) stillWho() error {
	if w := st.session.view.mesh.Workloads[st.session.who]; w != nil {
		return st.check(w)
	}
	return nil
}

func (st *stream) take(req *discoveryv3.DeltaDiscoveryRequest) error {
	v, err := st.session.request(req)
	if err != nil {
		return err
	}
	s := st.server
	s.mu.Lock()
	defer s.mu.Unlock()
	state := st.proxy.Types[req.GetTypeUrl()]
	state.Subscribed = len(st.session.types[req.GetTypeUrl()].names)
	switch {
	case v.acked:
		s.stats.acks.Add(1)
		state.Acked, state.AckedAt, state.Unacked = state.Sent, s.now(), 0
	case v.nacked:
		s.stats.nacks.Add(1)
		state.Nacks++
		state.NackedAt, state.NackMessage, state.Unacked = s.now(), v.message, 0
		s.log.Warn("proxy refused resources: it keeps their predecessors", "node", st.proxy.Node, "type", req.GetTypeUrl(), "reason", v.message)
	}
	st.proxy.Types[req.GetTypeUrl()] = state
	return nil
}

// note records a response that is about to be sent.
func (st *stream) note(r *discoveryv3.DeltaDiscoveryResponse) {
	s := st.server
	bytes := 0
	for _, res := range r.GetResources() {
		bytes += len(res.GetResource().GetValue())
	}
	s.stats.responses.Add(1)
	s.stats.bytes.Add(uint64(bytes))
	s.mu.Lock()
	defer s.mu.Unlock()
	state := st.proxy.Types[r.GetTypeUrl()]
	state.Sent = st.session.view.generation
	state.Unacked++
	st.proxy.Types[r.GetTypeUrl()] = state
}
