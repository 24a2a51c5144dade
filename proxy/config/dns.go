package config

import (
	"math"
	"time"
)

// Bounds of DNS.Refresh: what is asked for more often is a burden to resolvers.
const (
	minRefresh = time.Second
	maxRefresh = time.Hour
)

// decodeDNS reads what a cluster of type STRICT_DNS says of its one name.
func decodeDNS(m *message) *DNS {
	m.ignore(17) // dns_lookup_family: IPv4, where there is any
	d := &DNS{Refresh: m.duration(16, "dns_refresh_rate")}
	if d.Refresh < minRefresh || d.Refresh > maxRefresh {
		m.fail("field dns_refresh_rate is %s: this proxy supports %s to %s", d.Refresh, minRefresh, maxRefresh)
	}
	assignment := m.sub(33, "load_assignment")
	assignment.ignore(1) // cluster_name
	groups := assignment.subs(2, "endpoints")
	if len(groups) != 1 {
		m.fail("field load_assignment has %d localities: this proxy supports one with one name", len(groups))
		return d
	}
	endpoints := groups[0].subs(2, "lb_endpoints")
	if len(endpoints) != 1 {
		groups[0].fail("has %d endpoints: this proxy supports one name", len(endpoints))
		return d
	}
	host := endpoints[0].sub(1, "endpoint")
	outer := host.sub(1, "address")
	socket := outer.sub(1, "socket_address")
	if socket.number(1, "protocol") != addressTCP {
		socket.fail("field protocol is not TCP")
	}
	d.Host = socket.text(2, "address")
	port := socket.number(3, "port_value")
	if !validServerName(d.Host) || port == 0 || port > math.MaxUint16 {
		m.fail("field load_assignment has %q, port %d: this proxy supports a host name in lower case and a port from 1 to 65535", d.Host, port)
	}
	d.Port = uint16(port)
	socket.done()
	outer.done()
	host.done()
	endpoints[0].done()
	groups[0].done()
	assignment.done()
	return d
}
