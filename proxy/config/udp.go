package config

import (
	"math"
	"net/netip"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Full names of the messages in the Anys of a listener for datagrams.
const (
	udpProxy = "envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig"
	udpRoute = "envoy.extensions.filters.udp.udp_proxy.v3.Route"
)

// DatagramPrefix begins the names of listeners for datagrams, "udp/0.0.0.0:53".
const DatagramPrefix = "udp/"

// Datagram is a socket that a gateway opens for datagrams.
type Datagram struct {
	Name    string
	Origin  Origin
	Service string
	// Address is where it listens.
	Address netip.AddrPort
	// Shares says who takes sessions, by weight.
	Shares []Share
	// Idle is how long a session may rest; 0: the default.
	Idle time.Duration
}

// References names the clusters that sessions lead to, sorted, each once.
func (d *Datagram) References() []string { return (&Listener{Shares: d.Shares}).References() }

// decodeDatagram reads an envoy.config.listener.v3.Listener whose one listener filter is a UDP proxy. Envoy's has no
// weights: where there are several clusters, they stand in the metadata, and its own cluster is one of them.
func decodeDatagram(name string, body []byte) (*Datagram, error) {
	d := &Datagram{Name: name}
	err := read(body, func(m *message) {
		m.named("name", name)
		md := m.filterMetadata(6)
		d.Origin = md.origin()
		facts := md[keyListener]
		d.Service = facts.text("service")
		for _, o := range facts.objects("backends") {
			d.Shares = append(d.Shares, share(m, o.text("cluster"), uint64(o.count("weight", math.MaxUint32))))
			o.done()
		}
		facts.done()
		d.Address = decodeSocket(m, addressUDP)
		if at, err := netip.ParseAddrPort(strings.TrimPrefix(name, DatagramPrefix)); err != nil || at != d.Address {
			m.fail("field address is %v: the name says another", d.Address)
		}
		m.sub(18, "udp_listener_config").done()
		filters := m.subs(9, "listener_filters")
		if len(filters) != 1 {
			m.fail("has %d listener_filters: for datagrams this proxy supports one", len(filters))
		}
		for _, f := range filters {
			decodeUDPProxy(f.typed(3, udpProxy), d)
		}
		m.done()
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// decodeUDPProxy reads the UDP proxy's one cluster.
func decodeUDPProxy(m *message, d *Datagram) {
	m.ignore(1) // stat_prefix
	d.Idle = m.duration(3, "idle_timeout")
	var cluster Share
	if matcher := m.sub(9, "matcher"); matcher != nil {
		none := matcher.sub(3, "on_no_match")
		action := none.sub(2, "action").typed(2, udpRoute)
		cluster = share(matcher, action.text(1, "cluster"), 1)
		action.done()
		none.done()
		matcher.done()
	} else {
		m.fail("has no matcher")
	}
	m.done()
	if d.Shares == nil {
		d.Shares = []Share{cluster}
		return
	}
	for _, s := range d.Shares {
		if s.Cluster == cluster.Cluster {
			return
		}
	}
	m.fail("field matcher leads to %q, which is not among the backends of the metadata", cluster.Cluster)
}

// typed is the message of a named extension, which must be of the one type that is supported there; number is that of its
// typed_config.
func (m *message) typed(number protowire.Number, want string) *message {
	m.ignore(1) // name
	kind, config := m.anything(number, "typed_config")
	if kind != want {
		m.fail("is a %q, which this proxy does not support", kind)
	}
	m.done()
	return config
}
