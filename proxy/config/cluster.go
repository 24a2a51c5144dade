package config

import (
	"math"
	"net/netip"
	"time"
)

// Enum values of Envoy's API.
const (
	discoveryDNS   = 1 // Cluster.DiscoveryType.STRICT_DNS
	discoveryEDS   = 3 // Cluster.DiscoveryType.EDS
	lbLeastRequest = 1 // Cluster.LbPolicy.LEAST_REQUEST
)

// decodeCluster reads an envoy.config.cluster.v3.Cluster whose endpoints come by EDS under the same name, or by DNS.
func decodeCluster(name string, body []byte) (*Cluster, error) {
	c := &Cluster{Name: name}
	err := read(body, func(m *message) {
		m.named("name", name)
		switch t := m.number(2, "type"); t {
		case discoveryEDS:
		case discoveryDNS:
			c.DNS = decodeDNS(m)
		default:
			m.fail("field type is %d: this proxy supports EDS and STRICT_DNS", t)
		}
		eds := m.sub(3, "eds_cluster_config")
		eds.ignore(1) // eds_config: always the stream it came by
		if s := eds.text(2, "service_name"); s != "" && s != name {
			eds.fail("field service_name is %q: this proxy supports the cluster's own name", s)
		}
		eds.done()
		if p := m.number(6, "lb_policy"); p != lbLeastRequest {
			m.fail("field lb_policy is %d: this proxy supports LEAST_REQUEST", p)
		}
		m.ignore(
			4,  // connect_timeout: the proxy's own
			10, // circuit_breakers: as the metadata say
			43, // transport_socket_matches: mutual TLS follows from each endpoint's identity
		)
		c.TLS = decodeBackendTLS(m.sub(24, "transport_socket"))
		c.HTTP = m.httpVersion()
		md := m.filterMetadata(25)
		c.Origin = md.origin()
		facts := md[keyCluster]
		c.Service, c.Protocol = facts.text("service"), facts.protocol("protocol")
		c.Fail = decodeFailure(facts.object("fail"))
		c.Persistence = decodePersistence(facts.object("persistence"))
		c.RetryBudget = decodeRetryBudget(facts.object("retry_budget"))
		if c.TLS != nil && c.HTTP == SameHTTP {
			m.fail("has TLS without the one version of HTTP that is spoken in it")
		}
		facts.done()
		m.done()
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// decodeRetryBudget reads {percent, interval, min_retries, min_interval}; nil from nil.
func decodeRetryBudget(o *object) *RetryBudget {
	if o == nil {
		return nil
	}
	milliseconds := func(key string) time.Duration { return time.Duration(o.count(key, math.MaxUint32)) * time.Millisecond }
	b := &RetryBudget{
		Percent: o.count("percent", 100), Interval: milliseconds("interval"),
		MinRetries: o.count("min_retries", math.MaxInt32), MinInterval: milliseconds("min_interval"),
	}
	if b.Interval == 0 || b.MinInterval == 0 {
		o.fail("has an interval of 0")
	}
	o.done()
	return b
}

func (o *object) protocol(key string) Protocol {
	p := Protocol(o.text(key))
	switch p {
	case Detect, HTTP, HTTP2, TLS, TCP:
		return p
	default:
		o.fail("%s is %q, which is no protocol", key, p)
		return Detect
	}
}

// decodeEndpoints reads an envoy.config.endpoint.v3.ClusterLoadAssignment.
func decodeEndpoints(name string, body []byte) (*Assignment, error) {
	a := &Assignment{Cluster: name}
	err := read(body, func(m *message) {
		m.named("cluster_name", name)
		for _, group := range m.subs(2, "endpoints") {
			locality := group.sub(1, "locality")
			zone := locality.text(2, "zone")
			locality.ignore(1, 3) // region, sub_zone
			locality.done()
			group.ignore(3) // load_balancing_weight: follows from the number of endpoints
			for _, e := range group.subs(2, "lb_endpoints") {
				a.Endpoints = append(a.Endpoints, decodeEndpoint(e, zone))
			}
			group.done()
		}
		m.done()
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

func decodeEndpoint(m *message, zone string) Endpoint {
	e := Endpoint{Zone: zone}
	host := m.sub(1, "endpoint")
	outer := host.sub(1, "address")
	socket := outer.sub(1, "socket_address")
	if socket.number(1, "protocol") != addressTCP {
		socket.fail("field protocol is not TCP")
	}
	ip, err := netip.ParseAddr(socket.text(2, "address"))
	port := socket.number(3, "port_value")
	if err != nil || port == 0 || port > math.MaxUint16 {
		socket.fail("is not an IP address and a port from 1 to 65535")
	}
	e.Address = Destination(netip.AddrPortFrom(ip, uint16(port)))
	socket.done()
	outer.done()
	host.done()
	if socket == nil {
		m.fail("field endpoint.address.socket_address is missing")
	}
	e.Workload = m.filterMetadata(3).workload()
	e.Identity = e.Workload.Identity
	m.done()
	return e
}
