package config

import (
	"math"
	"strconv"
)

// Full names of the messages in a listener's Anys.
const (
	connectionManager = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
	tcpProxy          = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
	httpRouter        = "envoy.extensions.filters.http.router.v3.Router"
	httpInspector     = "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector"
	tlsInspector      = "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"
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
		l.MaxRequestBody = int64(facts.count("max_request_body", math.MaxUint32))
		l.ByName = facts.flag("by_name")
		facts.done()
		if l.ByName {
			decodeByName(m, l)
			return
		}
		inspector := httpInspector
		if l.Protocol == TLS {
			inspector = tlsInspector
		}
		for _, f := range m.subs(9, "listener_filters") {
			f.typed(3, inspector).done()
		}
		for _, chain := range m.subs(3, "filter_chains") {
			if l.Protocol == TLS {
				l.SNI = append(l.SNI, decodeSNI(chain))
			} else {
				decodeChain(chain, l)
			}
		}
		distinct(m, l.SNI)
		if chain := m.sub(25, "default_filter_chain"); chain != nil {
			if len(l.SNI) > 0 {
				chain.fail("stands beside server names: this proxy refuses what matches none of them")
			}
			decodeChain(chain, l)
		}
		if byTCP := len(l.SNI)+len(l.Shares) > 0 && (l.Protocol == TLS || l.Protocol == TCP); l.Cluster == "" && !byTCP {
			m.fail("has no cluster in its metadata %s", keyListener)
		}
		if l.Edge {
			m.fail("has use_remote_address, which is for gateways")
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
	match := m.sub(1, "filter_chain_match")
	match.ignore(10) // application_protocols
	match.done()
	switch kind, config := m.oneFilter(); kind {
	case connectionManager:
		decodeManager(config, l)
	case tcpProxy:
		shares := decodeTCP(config)
		if config.has(10) {
			l.Shares = shares
		} else if len(shares) == 1 && shares[0].Cluster != l.Cluster {
			config.fail("field cluster is %q, but the metadata says %q", shares[0].Cluster, l.Cluster)
		}
	default:
		m.fail("filters[0]: is a %q, which this proxy does not support", kind)
	}
	m.done()
}

// oneFilter is the only filter of a chain: the full name of its configuration, and the configuration.
func (m *message) oneFilter() (string, *message) {
	filters := m.subs(3, "filters")
	if len(filters) != 1 {
		m.fail("has %d filters: this proxy supports one", len(filters))
		return "", nil
	}
	filters[0].ignore(1) // name
	kind, config := filters[0].anything(4, "typed_config")
	filters[0].done()
	return kind, config
}

func decodeManager(m *message, l *Listener) {
	m.ignore(
		1, // codec_type: follows from the first bytes
		2, // stat_prefix
		// How this proxy treats HTTP, in Envoy's words:
		8,  // http_protocol_options
		15, // generate_request_id
		18, // proxy_100_continue
		23, // upgrade_configs: any upgrade is passed on
		24, // stream_idle_timeout
		29, // max_request_headers_kb
		34, // server_header_transformation
		35, // common_http_protocol_options
	)
	for _, f := range m.subs(5, "http_filters") {
		switch name := f.text(1, "name"); {
		case name == externalAuthName, isListenerFilter(name):
			f.ignore(7) // disabled: routes, or virtual hosts, say whom to ask
			f.typed(4, composite).done()
			continue
		case name == statefulSession:
			f.typed(4, statefulSessionFilter).done() // which routes keep sessions they say themselves
			continue
		}
		router := f.typed(4, httpRouter)
		router.ignore(4) // suppress_envoy_headers
		router.done()
	}
	m.http2Options(9)
	l.Edge = m.wrapped(14, "use_remote_address") != 0
	if normal := m.wrapped(30, "normalize_path") != 0; normal != l.Edge {
		m.fail("field normalize_path is %t, and use_remote_address is not: to this proxy they are one", normal)
	}
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
		in.MaxRequestBody = int64(how.count("max_request_body", math.MaxUint32))
		how.done()
		settings := md[keyProxy]
		in.Policy, in.AccessLog = settings.outboundPolicy("outbound"), settings.flag("access_log")
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
