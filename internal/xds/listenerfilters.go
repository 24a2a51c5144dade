package xds

import (
	"strconv"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	compositev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/composite/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/leno-mesh/leno/internal/mesh"
)

// listenerFilterName is the HTTP filter of each edge's connection manager that asks the authorization server at an index of a
// listener's filters. It is a composite one, as externalAuthName is. (In one composite with a chain of filters, Envoy leaves out those
// behind one that waited for an answer.)
func listenerFilterName(index int) string { return "dev.leno.listenerfilters." + strconv.Itoa(index) }

// unrouted is the name of a route that stands behind all others: Envoy knows the filters of a virtual host only for requests that have
// a route, and those that have none are to be authorized, too.
const unrouted = "unrouted"

// filterRequests puts the filters of listeners in front of all others, which do what the route says: it is found again where an
// authorization server has changed the request. So the filter that asks for routes is there for all requests, since Envoy finds out
// which ones are before the first of them runs. One filter there is from the start: a virtual host that names one that is not there
// yet would let everybody in. More come with the listener: what a stock Envoy still serves on connections that it drains is asked about
// by as many as there were.
func filterRequests(hcm *hcmv3.HttpConnectionManager, listeners []*mesh.Listener) {
	most := 1
	for _, l := range listeners {
		for _, h := range l.Hosts {
			most = max(most, len(h.Filters))
		}
	}
	var list []*hcmv3.HttpFilter
	for i := range most {
		f := compositeFilter(listenerFilterName(i))
		f.Disabled = true // but for virtual hosts with a configuration of their own
		list = append(list, f)
	}
	for _, f := range hcm.HttpFilters {
		if f.Name == externalAuthName {
			f.Disabled = false
		}
	}
	hcm.HttpFilters = append(list, hcm.HttpFilters...)
}

// setListenerFilters makes a virtual host ask before its routes are matched for good.
func setListenerFilters(m *mesh.Mesh, host *routev3.VirtualHost, filters []*mesh.ExternalAuth) {
	if len(filters) == 0 {
		return
	}
	host.TypedPerFilterConfig = map[string]*anypb.Any{}
	for i, f := range filters {
		ask := extAuthz(m, f)
		ask.ClearRouteCache = true
		host.TypedPerFilterConfig[listenerFilterName(i)] = pack(&compositev3.CompositePerRoute{Matcher: alwaysAsk(ask)})
	}
	host.Routes = append(host.Routes, &routev3.Route{
		Name:   unrouted,
		Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
		Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: 404}},
	})
}
