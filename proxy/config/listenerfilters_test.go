package config_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leno-mesh/leno/proxy/config"
)

// asks is a composite filter that asks a cluster in Envoy's protocol.
func asks(cluster string) string {
	return `{"@type": "type.googleapis.com/envoy.extensions.filters.http.composite.v3.CompositePerRoute", "matcher": {"onNoMatch": {"action": {"name": "ask",
		"typedConfig": {"@type": "type.googleapis.com/envoy.extensions.filters.http.composite.v3.ExecuteFilterAction", "typedConfig": {"name": "ext_authz",
		"typedConfig": {"@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz", "statusOnError": {"code": "ServiceUnavailable"},
			"clearRouteCache": true, "maxDeniedResponseBodyBytes": 65536,
			"decoderHeaderMutationRules": {"disallowExpression": {"regex": "content-length|connection|expect|keep-alive|proxy-connection|te|trailer|transfer-encoding|upgrade"}},
			"grpcService": {"envoyGrpc": {"clusterName": "` + cluster + `", "authority": "` + cluster + `:80"}, "timeout": "5s"}}}}}}}}`
}

// validFiltered is a table of one host whose listener asks two servers.
func validFiltered() string {
	return `{"name": "x", "ignorePortInHostMatching": true, "virtualHosts": [{"name": "*", "domains": ["*"], "routes": [
		{"match": {"pathSeparatedPrefix": "/a"}, "route": {"cluster": "c"}},
		{"match": {"prefix": "/"}, "directResponse": {"status": 404}, "name": "unrouted"}],
		"typedPerFilterConfig": {"dev.leno.listenerfilters.0": ` + asks("first") + `, "dev.leno.listenerfilters.1": ` + asks("second") + `}}]}`
}

func TestListenerFilters(t *testing.T) {
	r, err := config.Decode(config.RouteType, "x", "1", encode(t, config.RouteType, validFiltered()))
	if err != nil {
		t.Fatal(err)
	}
	asked := func(cluster string) *config.ExternalAuth {
		return &config.ExternalAuth{Cluster: cluster, Authority: cluster + ":80", GRPC: true, Timeout: 5 * time.Second}
	}
	want := []config.Host{{Names: []string{"*"}, Entries: 1, Filters: []*config.ExternalAuth{asked("first"), asked("second")}}}
	if d := cmp.Diff(want, r.Routes.Hosts); d != "" || len(r.Routes.Entries) != 1 {
		t.Errorf("%d entries, %s", len(r.Routes.Entries), d)
	}
	if got := r.Routes.References(); !slices.Equal(got, []string{"c", "first", "second"}) {
		t.Errorf("it refers to %q", got)
	}
	for _, c := range []struct{ old, new, says string }{
		{`"dev.leno.listenerfilters.1"`, `"dev.leno.listenerfilters.2"`, `wants the filters numbered from 0 on`},
		{`"dev.leno.listenerfilters.1"`, `"dev.leno.listenerfilters.+1"`, `wants the filters numbered from 0 on`},
		{`"dev.leno.listenerfilters.1"`, `"dev.leno.listenerfilters.-1"`, `wants the filters numbered from 0 on`},
		{`"dev.leno.listenerfilters.1"`, `"dev.leno.externalauth"`, `is "dev.leno.externalauth" of type`},
		{`CompositePerRoute", "matcher": {"onNoMatch"`, `Composite", "matcher": {"onNoMatch"`, `v3.Composite", which this proxy does not support`},
		{`"clearRouteCache": true, `, ``, `clear_route_cache is false`},
		{`"clusterName": "first"`, `"clusterName": ""`, `names no cluster to ask`},
		{`"name": "unrouted"`, `"name": "other"`, `a virtual host with filters ends with that`},
		{`{"status": 404}`, `{"status": 403}`, `is not "unrouted" with status 404`},
		{`{"status": 404}`, `{"status": 404, "body": {"inlineString": "x"}}`, `direct_response: field number 2`},
		{`{"match": {"prefix": "/"}, "directResponse"`, `{"match": {"path": "/"}, "directResponse"`, `is not "unrouted" with status 404`},
		{`"name": "unrouted"}`, `"name": "unrouted"}, {"match": {"prefix": "/"}, "route": {"cluster": "c"}}`, `is not "unrouted" with status 404`},
	} {
		_, err := config.Decode(config.RouteType, "x", "1", encode(t, config.RouteType, strings.Replace(validFiltered(), c.old, c.new, 1)))
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.new, err, c.says)
		}
	}
	var many strings.Builder
	for i := range 15 {
		many.WriteString(`"dev.leno.listenerfilters.` + strconv.Itoa(i+2) + `": ` + asks("more") + `, `)
	}
	const first = `"dev.leno.listenerfilters.0"`
	_, err = config.Decode(config.RouteType, "x", "1", encode(t, config.RouteType, strings.Replace(validFiltered(), first, many.String()+first, 1)))
	if err == nil || !strings.Contains(err.Error(), "more than 16 entries") {
		t.Errorf("17 filters: %v", err)
	}
}
