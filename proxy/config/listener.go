package config

import (
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// Full names of the messages in a listener's Anys.
const (
	connectionManager = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
	tcpProxy          = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
	httpRouter        = "envoy.extensions.filters.http.router.v3.Router"
	httpInspector     = "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector"
)

// decodeListener reads an outbound envoy.config.listener.v3.Listener. The protocol and the cluster stand in its metadata;
// the filter chains must say the same, and name the routes.
func decodeListener(name string, body []byte) (*Listener, error) {
	l := &Listener{Name: name}
	err := read(body, func(m *message) {
		m.named("name", name)
		md := m.filterMetadata(6)
		l.Origin = md.origin()
		facts := md[keyListener]
		l.Protocol, l.Service, l.Cluster = facts.protocol("protocol"), facts.text("service"), facts.text("cluster")
		facts.done()
		if l.Cluster == "" {
			m.fail("has no cluster in its metadata %s", keyListener)
		}
		for _, f := range m.subs(9, "listener_filters") {
			f.only(httpInspector, 3)
		}
		for _, chain := range m.subs(3, "filter_chains") {
			decodeChain(chain, l)
		}
		if chain := m.sub(25, "default_filter_chain"); chain != nil {
			decodeChain(chain, l)
		}
		m.ignore(
			2,  // address: the destination that the name tells
			26, // bind_to_port
		)
		m.done()
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// decodeChain reads a chain of one filter. Which chain takes a connection follows from the listener's protocol.
func decodeChain(m *message, l *Listener) {
	m.ignore(1) // filter_chain_match
	filters := m.subs(3, "filters")
	if len(filters) != 1 {
		m.fail("has %d filters: this proxy supports one", len(filters))
	}
	for _, f := range filters {
		f.ignore(1) // name
		kind, config := f.anything(4, "typed_config")
		f.done()
		switch kind {
		case connectionManager:
			decodeManager(config, l)
		case tcpProxy:
			config.ignore(1) // stat_prefix
			if c := config.text(2, "cluster"); c != l.Cluster {
				config.fail("field cluster is %q, but the metadata says %q", c, l.Cluster)
			}
			config.done()
		default:
			f.fail("is a %q, which this proxy does not support", kind)
		}
	}
	m.done()
}

// only refuses a filter of another type; number is that of its typed_config, which must be empty.
func (m *message) only(want string, number protowire.Number) {
	m.ignore(1) // name
	if kind, config := m.anything(number, "typed_config"); kind != want {
		m.fail("is a %q, which this proxy does not support", kind)
	} else {
		config.done()
	}
	m.done()
}

func decodeManager(m *message, l *Listener) {
	m.ignore(
		1, // codec_type: follows from the listener's protocol
		2, // stat_prefix
	)
	for _, f := range m.subs(5, "http_filters") {
		f.only(httpRouter, 4)
	}
	m.ignore(23) // upgrade_configs: any upgrade is passed on
	if rds := m.sub(3, "rds"); rds != nil {
		rds.ignore(1) // config_source: always the stream it came by
		l.Routes = rds.text(2, "route_config_name")
		if l.Routes == "" {
			rds.fail("field route_config_name is empty")
		}
		rds.done()
	} else if m.has(4) {
		allTo(m.sub(4, "route_config"), l.Cluster)
	} else {
		m.fail("has neither rds nor route_config")
	}
	m.done()
}

// allTo refuses an inline table that does anything else than send all requests to the listener's cluster.
func allTo(m *message, cluster string) {
	t := decodeTable(m)
	simple := len(t.Entries) == 1
	if simple {
		e := t.Entries[0]
		simple = e.Match.PathKind == PathAny && e.Match.Method == "" && len(e.Match.Headers)+len(e.Match.Query) == 0 &&
			len(e.Action.Backends) == 1 && e.Action.Backends[0].Cluster == cluster
	}
	if !simple {
		m.fail("does not send everything to %q: this proxy takes other routes by RDS only", cluster)
	}
}

// decodeInbound reads the listener by the name "inbound". Its filter chains say for Envoy what its metadata says for us.
func decodeInbound(body []byte) (*InboundListener, error) {
	in := &InboundListener{}
	err := read(body, func(m *message) {
		m.named("name", InboundName)
		in.Name = InboundName
		md := m.filterMetadata(6)
		in.Origin = md.origin()
		in.Workload = md.workload()
		how := md[keyInbound]
		if how == nil {
			m.fail("has no metadata %s", keyInbound)
			return
		}
		in.Strict = how.flag("strict")
		in.Protocols = how.object("protocols").ports()
		how.done()
		settings := md[keyProxy]
		in.RegistryOnly, in.AccessLog = settings.flag("registry_only"), settings.flag("access_log")
		settings.done()
		m.ignore(
			2,  // address
			3,  // filter_chains
			4,  // use_original_dst
			9,  // listener_filters
			25, // default_filter_chain
		)
		m.done()
	})
	if err != nil {
		return nil, err
	}
	return in, nil
}

// ports reads protocols by decimal port.
func (o *object) ports() map[uint16]Protocol {
	keys := o.keys()
	if len(keys) == 0 {
		return nil
	}
	out := make(map[uint16]Protocol, len(keys))
	for _, key := range keys {
		n, err := strconv.ParseUint(key, 10, 16)
		if err != nil || n == 0 || n > math.MaxUint16 {
			o.fail("%q is not a port", key)
			return nil
		}
		out[uint16(n)] = o.protocol(key)
	}
	return out
}
