package xdsclient

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/leno-mesh/leno/proxy/config"
)

// machine is the client's state without network, clock and goroutines: what is wanted, what is held, and what follows. Requests
// come out of requests, configurations out of config. It is not safe for concurrent use.
type machine struct {
	node      node
	gateway   bool                      // asks for what it opens by a wildcard
	wanted    map[netip.AddrPort]uint64 // by age: a lower number was wanted first
	age       uint64
	refusals  []refusal // from the oldest on
	types     map[string]*holding
	composed  map[string]composed
	answers   []request // to responses, not sent yet
	connected bool      // requests may be sent on the current stream
	greeted   bool      // the node was sent on it
	config    *config.Config
	bundle    []byte
	nacks     uint64
}

// holding is everything of one resource type.
type holding struct {
	asked map[string]struct{} // subscribed on the current stream
	held  map[string]*held
}

// held is what is known of one resource.
type held struct {
	resource // the accepted one; no version: none
	value    config.Resource
	absent   bool // the control plane has none
	refused  bool // the last one sent was bad; the one before, if any, is kept
}

func (h *held) has() bool { return h != nil && h.Version != "" }

// composed is a cluster made of its two parts, kept so that it is the same pointer until one of them changes.
type composed struct {
	cluster   *config.Cluster
	endpoints *config.Assignment
	whole     *config.Cluster
}

// The order in which types are asked for: what refers before what is referred to, as names become known.
var typeOrder = []string{config.SecretType, config.ListenerType, config.RouteType, config.ClusterType, config.EndpointType}

func newMachine(n node) *machine {
	m := &machine{
		node: n, wanted: map[netip.AddrPort]uint64{}, types: map[string]*holding{}, composed: map[string]composed{},
		config: &config.Config{},
	}
	for _, t := range typeOrder {
		m.types[t] = &holding{asked: map[string]struct{}{}, held: map[string]*held{}}
	}
	return m
}

func (m *machine) want(dst netip.AddrPort) {
	m.note(dst)
	m.settle()
}

func (m *machine) note(dst netip.AddrPort) {
	if _, ok := m.wanted[dst]; !ok {
		m.age++
		m.wanted[dst] = m.age
	}
}

// evict releases the oldest destination that the control plane does not know; false when it knows all of them.
func (m *machine) evict() bool {
	var oldest netip.AddrPort
	for dst, age := range m.wanted {
		if l, ok := m.config.Outbound[dst]; ok && l == nil && (!oldest.IsValid() || age < m.wanted[oldest]) {
			oldest = dst
		}
	}
	if !oldest.IsValid() {
		return false
	}
	m.release(oldest)
	return true
}

// release forgets a destination and everything that only it needed.
func (m *machine) release(dst netip.AddrPort) {
	delete(m.wanted, dst)
	m.settle()
}

// connect begins a stream: nothing was asked on it.
func (m *machine) connect() {
	m.forgetRefusals()
	m.connected, m.greeted, m.answers = true, false, nil
	for _, h := range m.types {
		clear(h.asked)
	}
}

func (m *machine) disconnect() { m.connected, m.answers = false, nil }

// receive takes a response: each good resource of it is held, each bad one is refused by name and its predecessor kept.
func (m *machine) receive(r response) {
	h := m.types[r.Type]
	if h == nil {
		m.answer(r, fmt.Errorf("type URL %q was not asked for", r.Type))
		return
	}
	var errs []error
	for _, res := range r.Resources {
		if _, ok := h.asked[res.Name]; !ok && !m.opened(r.Type, res.Name) {
			continue // unsubscribed meanwhile
		}
		errs = append(errs, m.hold(h, r.Type, res))
	}
	for _, name := range r.Removed {
		if m.opened(r.Type, name) {
			delete(h.held, name)
			continue
		}
		if _, ok := h.asked[name]; ok {
			h.held[name] = &held{absent: true}
		}
	}
	m.answer(r, errors.Join(errs...))
	m.settle()
}

func (m *machine) hold(h *holding, typeURL string, res resource) error {
	if res.Type != typeURL {
		return m.refuse(h, res.Name, fmt.Errorf("resource %q has type %q in a response of type %q", res.Name, res.Type, typeURL))
	}
	if res.Version == "" {
		return m.refuse(h, res.Name, fmt.Errorf("resource %q has no version", res.Name))
	}
	value, err := config.Decode(typeURL, res.Name, res.Version, res.Body)
	if err != nil {
		return m.refuse(h, res.Name, err)
	}
	// The body aliases the whole response.
	res.Body = bytes.Clone(res.Body)
	h.held[res.Name] = &held{resource: res, value: value}
	return nil
}

func (m *machine) refuse(h *holding, name string, err error) error {
	old := h.held[name]
	if old == nil {
		old = &held{}
		h.held[name] = old
	}
	old.refused = true
	return err
}

func (m *machine) answer(r response, err error) {
	a := request{Type: r.Type, Nonce: r.Nonce}
	if err != nil {
		m.nacks++
		a.Refused = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	m.answers = append(m.answers, a)
}

// requests are what must be sent now, in order: answers first, then changes of subscriptions.
func (m *machine) requests() []request {
	if !m.connected {
		return nil
	}
	out := m.answers
	m.answers = nil
	needed := m.needed()
	for _, t := range typeOrder {
		h := m.types[t]
		r := request{Type: t}
		for _, name := range slices.Sorted(maps.Keys(needed[t])) {
			if _, ok := h.asked[name]; ok {
				continue
			}
			h.asked[name] = struct{}{}
			r.Subscribe = append(r.Subscribe, name)
			if name == wildcard {
				r.Versions = m.versions(h)
			}
			if old := h.held[name]; old.has() {
				if r.Versions == nil {
					r.Versions = map[string]string{}
				}
				r.Versions[name] = old.Version
			}
		}
		for _, name := range slices.Sorted(maps.Keys(h.asked)) {
			if _, ok := needed[t][name]; !ok {
				delete(h.asked, name)
				delete(h.held, name)
				r.Unsubscribe = append(r.Unsubscribe, name)
			}
		}
		if len(r.Subscribe)+len(r.Unsubscribe) > 0 {
			out = append(out, r)
		}
	}
	if len(out) > 0 && !m.greeted {
		m.greeted, out[0].Node = true, &m.node
	}
	return out
}

type names map[string]struct{}

// needed lists, by type, the names that wanted destinations reach: through what is held, and through what is in effect
// until the held is complete.
func (m *machine) needed() map[string]names {
	need := map[string]names{
		config.SecretType:   {config.TrustBundleName: {}},
		config.ListenerType: {config.InboundName: {}},
		config.RouteType:    {},
		config.ClusterType:  {},
		config.EndpointType: {},
	}
	routes := func(t *config.RouteTable) {
		if t == nil {
			return
		}
		for _, c := range t.References() {
			need[config.ClusterType][c] = struct{}{}
		}
	}
	listener := func(l *config.Listener) {
		if l == nil {
			return
		}
		for _, c := range l.References() {
			need[config.ClusterType][c] = struct{}{}
		}
		if l.Routes != "" {
			need[config.RouteType][l.Routes] = struct{}{}
		}
	}
	for dst := range m.wanted {
		name := config.ListenerName(dst)
		need[config.ListenerType][name] = struct{}{}
		if h := m.types[config.ListenerType].held[name]; h.has() {
			listener(h.value.Listener)
		}
		listener(m.config.Outbound[dst])
	}
	for _, r := range m.refusals {
		need[config.ListenerType][r.name] = struct{}{}
	}
	m.needPorts(need)
	for name := range need[config.RouteType] {
		if h := m.types[config.RouteType].held[name]; h.has() {
			routes(h.value.Routes)
		}
		routes(m.config.Routes[name])
	}
	m.needCertificates(need)
	for name := range need[config.ClusterType] {
		if !asksDNS(m.types[config.ClusterType].held[name]) {
			need[config.EndpointType][name] = struct{}{}
		}
	}
	return need
}

// sweep forgets what is held and not needed any more. What the server still thinks of as asked for is forgotten together
// with its subscription: otherwise, if it is needed again before that, it would neither be there nor be sent.
func (m *machine) sweep() {
	needed := m.needed()
	for t, h := range m.types {
		maps.DeleteFunc(h.held, func(name string, _ *held) bool {
			_, ok := needed[t][name]
			_, asked := h.asked[name]
			return !ok && !m.opened(t, name) && (!m.connected || !asked)
		})
	}
	maps.DeleteFunc(m.composed, func(name string, _ composed) bool {
		_, ok := needed[config.ClusterType][name]
		return !ok
	})
}
