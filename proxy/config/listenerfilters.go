package config

import (
	"strconv"
	"strings"
)

// The filters of a connection manager that ask before routes are matched, by number, and the route of a virtual host with such filters
// that stands for no route: Envoy asks only about requests that have one.
const (
	listenerFilterPrefix = "dev.leno.listenerfilters."
	unrouted             = "unrouted"
	// maxListenerFilters is that of the API (ListenerFilters.requests).
	maxListenerFilters = 16
)

func isListenerFilter(name string) bool { return strings.HasPrefix(name, listenerFilterPrefix) }

// decodeListenerFilters reads the typed_per_filter_config of a virtual host: whom its listener asks, numbered from 0 on.
func decodeListenerFilters(host *message) []*ExternalAuth {
	entries := host.subs(15, "typed_per_filter_config")
	if len(entries) == 0 {
		return nil
	}
	if len(entries) > maxListenerFilters {
		host.fail("field typed_per_filter_config has more than %d entries", maxListenerFilters)
		return nil
	}
	filters := make([]*ExternalAuth, len(entries))
	for _, entry := range entries {
		key := entry.text(1, "key")
		kind, value := entry.anything(2, "value")
		entry.done()
		at, _ := strconv.Atoi(strings.TrimPrefix(key, listenerFilterPrefix)) // what is no number is not written like 0
		switch {
		case !isListenerFilter(key) || kind != compositeRoute:
			entry.fail("is %q of type %q, which this proxy does not support", key, kind)
		case key != listenerFilterPrefix+strconv.Itoa(at) || at < 0 || at >= len(filters) || filters[at] != nil:
			entry.fail("is %q: this proxy wants the filters numbered from 0 on", key)
		default:
			filters[at] = decodeExternalAuth(entry, value, true)
		}
	}
	return filters
}

// routedOnly are the routes of a virtual host with filters but for the last one, which must stand for no route.
func routedOnly(host *message, routes []*message) []*message {
	if len(routes) == 0 {
		host.fail("has filters, and no route %q at the end", unrouted)
		return nil
	}
	last := routes[len(routes)-1]
	name := last.text(14, "name")
	match := last.sub(1, "match")
	direct := last.sub(7, "direct_response")
	if prefix, status := match.text(1, "prefix"), direct.number(1, "status"); name != unrouted || prefix != "/" || status != 404 {
		last.fail("is not %q with status 404: a virtual host with filters ends with that", unrouted)
	}
	for _, part := range []*message{match, direct, last} {
		part.done()
	}
	return routes[:len(routes)-1]
}
