package graph

import (
	"cmp"
	"slices"
	"strings"

	"github.com/leno-mesh/leno/internal/mesh"
)

// Host names of listeners and routes: "" is any, "*.example.com" is any number of labels in front of ".example.com", all else is one
// name (Gateway API, Hostname). They are in lower case here.

// covers tells whether each name that b means is one that a means.
func covers(a, b string) bool {
	switch {
	case a == "" || a == b:
		return true
	case b == "" || !strings.HasPrefix(a, "*."):
		return false
	}
	return strings.HasSuffix(strings.TrimPrefix(b, "*"), a[1:]) && len(strings.TrimPrefix(b, "*")) > len(a[1:])
}

// intersect is the names that both mean, which is one of the two.
func intersect(a, b string) (string, bool) {
	switch {
	case covers(a, b):
		return b, true
	case covers(b, a):
		return a, true
	}
	return "", false
}

// compareHosts orders the more specific first: names before wildcards before any; longer ones before shorter ones (HTTPRoute.spec.hostnames).
func compareHosts(a, b string) int {
	rank := func(h string) int {
		switch {
		case h == "":
			return 2
		case strings.HasPrefix(h, "*."):
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
}

// mostSpecific is the most specific of names that covers host.
func mostSpecific(names []string, host string) (string, bool) {
	best, found := "", false
	for _, n := range names {
		if covers(n, host) && (!found || compareHosts(n, best) < 0) {
			best, found = n, true
		}
	}
	return best, found
}

// namesOn are the names for which a route applies on a listener, as the route writes them, and their part on the listener.
func (r *route) namesOn(listener string) map[string]string {
	if len(r.hostnames) == 0 {
		return map[string]string{listener: ""}
	}
	var out map[string]string
	for _, h := range r.hostnames {
		if both, ok := intersect(listener, h); ok {
			if out == nil {
				out = map[string]string{}
			}
			if other, is := out[both]; !is || compareHosts(h, other) < 0 {
				out[both] = h
			}
		}
	}
	return out
}

// hostTables makes the tables of an HTTP listener: one for each host name that a route tells apart. In a table stand the rules of all
// routes that apply to the name, those of routes that name it more closely first: "precedence must be given to rules from the route
// with the largest number of characters in a matching hostname" (HTTPRoute.spec.hostnames), and the names that count are the routes'
// own (feature GatewayRouteHostnameIntersectionPrecedence).
func hostTables(listener string, attached []*onListener) []mesh.Host {
	names := []string{listener}
	for _, a := range attached {
		for name := range a.names {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, compareHosts)
	names = slices.Compact(names)
	out := make([]mesh.Host, 0, len(names))
	for _, name := range names {
		groups := map[string][]*entry{}
		for _, a := range attached {
			if own, ok := a.own(name); ok {
				for i := range a.rules.entries {
					groups[own] = append(groups[own], &a.rules.entries[i])
				}
			}
		}
		var order []string
		for own := range groups {
			order = append(order, own)
		}
		slices.SortFunc(order, compareHosts)
		table := &mesh.RouteTable{}
		for _, own := range order {
			table.Entries = append(table.Entries, tableOf(groups[own]).Entries...)
		}
		out = append(out, mesh.Host{Name: name, Routes: table})
	}
	return out
}

// onListener is a route on a listener.
type onListener struct {
	route *route
	rules *ruleSet
	// names are those on the listener that it applies to, with the route's own name for each.
	names map[string]string
}

// own is the route's own name for requests to a host.
func (a *onListener) own(host string) (string, bool) {
	best, found := "", false
	for name, own := range a.names {
		if covers(name, host) && (!found || compareHosts(own, best) < 0) {
			best, found = own, true
		}
	}
	return best, found
}

// servers makes what a TLS listener does by server name. Of routes with the same name on the listener that one has it that names it more
// closely itself (TLSRoute.spec.hostnames, feature GatewayRouteHostnameIntersectionPrecedence), then the older one; a route is not asked
// about names that another names more closely.
func servers(attached []*onListener) []mesh.Server {
	var out []mesh.Server
	owns := map[string]string{}
	for _, a := range attached {
		for name, own := range a.names {
			best, taken := owns[name]
			if taken && compareHosts(own, best) >= 0 {
				continue
			}
			owns[name] = own
			out = slices.DeleteFunc(out, func(s mesh.Server) bool { return s.Name == name })
			out = append(out, mesh.Server{Name: name, Split: a.rules.split})
		}
	}
	slices.SortFunc(out, func(a, b mesh.Server) int { return compareHosts(a.Name, b.Name) })
	return out
}
