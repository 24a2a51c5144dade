package config_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/composite/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/http_inspector/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/udp/udp_proxy/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/leno-mesh/leno/proxy/config"
)

// messages by type URL.
var messages = map[string]func() proto.Message{
	config.ListenerType: func() proto.Message { return &listenerv3.Listener{} },
	config.RouteType:    func() proto.Message { return &routev3.RouteConfiguration{} },
	config.ClusterType:  func() proto.Message { return &clusterv3.Cluster{} },
	config.EndpointType: func() proto.Message { return &endpointv3.ClusterLoadAssignment{} },
	config.SecretType:   func() proto.Message { return &tlsv3.Secret{} },
}

// Valid resources, by type; each refusal below changes one thing of one of them.
const (
	validListener = `{"name": "x", "metadata": {"filterMetadata": {"dev.leno.listener": {"cluster": "c", "protocol": "HTTP"}}},
		"filterChains": [{"filters": [{"name": "hcm", "typedConfig": {
			"@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
			"rds": {"routeConfigName": "r"}}}]}]}`
	validSNI = `{"name": "x", "metadata": {"filterMetadata": {"dev.leno.listener": {"protocol": "TLS"}}},
		"listenerFilters": [{"name": "tls", "typedConfig": {"@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"}}],
		"filterChains": [
			{"filterChainMatch": {"transportProtocol": "tls", "serverNames": ["a.example.com", "*.example.com"]}, "name": "one",
				"metadata": {"filterMetadata": {"dev.leno.origin": {"kind": "TLSRoute", "name": "r"}}},
				"filters": [{"name": "tcp", "typedConfig": {"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
					"statPrefix": "s", "weightedClusters": {"clusters": [{"name": "a", "weight": 1}, {"name": "dev.leno.fail", "weight": 3}]}}}]},
			{"filterChainMatch": {"transportProtocol": "tls", "serverNames": ["b.example.org"]},
				"filters": [{"name": "tcp", "typedConfig": {"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
					"statPrefix": "s", "cluster": "b"}}]},
			{"filterChainMatch": {"transportProtocol": "tls"},
				"filters": [{"name": "tcp", "typedConfig": {"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
					"statPrefix": "s", "cluster": "rest"}}]}]}`
	validWeighted = `{"name": "x", "metadata": {"filterMetadata": {"dev.leno.listener": {"protocol": "TCP"}}},
		"defaultFilterChain": {"filters": [{"name": "tcp", "typedConfig": {"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
			"statPrefix": "s", "weightedClusters": {"clusters": [{"name": "a", "weight": 1}, {"name": "b", "weight": 2}]}}}]}}`
	validUDP = `{"name": "udp/127.0.0.1:53", "address": {"socketAddress": {"protocol": "UDP", "address": "127.0.0.1", "portValue": 53}},
		"udpListenerConfig": {}, "metadata": {"filterMetadata": {"dev.leno.origin": {"kind": "UDPRoute", "name": "dns"},
			"dev.leno.listener": {"service": "edge", "backends": [{"cluster": "a", "weight": 1}, {"cluster": "b", "weight": 3}]}}},
		"listenerFilters": [{"name": "udp", "typedConfig": {"@type": "type.googleapis.com/envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig",
			"statPrefix": "s", "idleTimeout": "5s", "matcher": {"onNoMatch": {"action": {"name": "route",
				"typedConfig": {"@type": "type.googleapis.com/envoy.extensions.filters.udp.udp_proxy.v3.Route", "cluster": "a"}}}}}}]}`
	validInbound = `{"name": "inbound", "metadata": {"filterMetadata": {"dev.leno.inbound": {"strict": true, "protocols": {"80": "HTTP"}}}}}`
	validAuth    = `{"name": "x", "virtualHosts": [{"name": "*", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "c"}, "typedPerFilterConfig":
		{"dev.leno.externalauth": {"@type": "type.googleapis.com/envoy.extensions.filters.http.composite.v3.CompositePerRoute", "matcher": {"onNoMatch": {"action": {"name": "ask",
		"typedConfig": {"@type": "type.googleapis.com/envoy.extensions.filters.http.composite.v3.ExecuteFilterAction", "typedConfig": {"name": "ext_authz",
		"typedConfig": {"@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz", "statusOnError": {"code": "ServiceUnavailable"},
			"withRequestBody": {"maxRequestBytes": 10}, "allowedHeaders": {"patterns": [{"exact": "x-a"}]}, "maxDeniedResponseBodyBytes": 65536,
			"decoderHeaderMutationRules": {"disallowExpression": {"regex": "content-.*|connection|expect|keep-alive|proxy-connection|te|trailer|transfer-encoding|upgrade"}},
			"httpService": {"serverUri": {"uri": "http://a", "cluster": "a", "timeout": "5s"}, "pathPrefix": "/check",
				"authorizationResponse": {"allowedUpstreamHeaders": {"patterns": [{"safeRegex": {"regex": "[^:].*"}}]}}}}}}}}}}}}]}]}`
	validCluster = `{"name": "x", "type": "EDS", "lbPolicy": "LEAST_REQUEST"}`
	validEDS     = `{"clusterName": "x", "endpoints": [{"lbEndpoints": [{"endpoint": {"address": {"socketAddress": {"address": "10.0.0.1", "portValue": 80}}}}]}]}`
	validSecret  = `{"name": "x", "validationContext": {"trustedCa": {"inlineBytes": "UEVN"}}}`
)

func tcpFilter(to string) string {
	return `{"name": "tcp", "typedConfig": {"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", "statPrefix": "s", ` + to + `}}`
}

func routes(route string) string {
	return `{"name": "x", "virtualHosts": [{"name": "*", "domains": ["*"], "routes": [` + route + `]}]}`
}

func hosts(domains string) string {
	return `{"name": "x", "virtualHosts": [{"name": "a", "domains": ` + domains + `}]}`
}

func action(action string) string {
	return routes(`{"match": {"prefix": "/"}, "route": {"cluster": "c"` + action + `}}`)
}

func match(match string) string {
	return routes(`{"match": {` + match + `}, "route": {"cluster": "c"}}`)
}

func encode(t testing.TB, typeURL, json string) []byte {
	t.Helper()
	m := messages[typeURL]()
	if err := protojson.Unmarshal([]byte(json), m); err != nil {
		t.Fatalf("%v in %s", err, json)
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestValidResources(t *testing.T) {
	for json, typeURL := range map[string]string{
		validListener: config.ListenerType, validSNI: config.ListenerType, validWeighted: config.ListenerType, validCluster: config.ClusterType, validEDS: config.EndpointType,
		validSecret: config.SecretType, action(""): config.RouteType, validAuth: config.RouteType,
	} {
		if _, err := config.Decode(typeURL, "x", "1", encode(t, typeURL, json)); err != nil {
			t.Errorf("%v", err)
		}
	}
	if _, err := config.Decode(config.ListenerType, "inbound", "1", encode(t, config.ListenerType, validInbound)); err != nil {
		t.Errorf("%v", err)
	}
}

// TestMaxRequestBody: both directions have a limit of their own; none means none.
func TestMaxRequestBody(t *testing.T) {
	for _, limit := range []int64{0, 1 << 20} {
		field := ""
		if limit > 0 {
			field = fmt.Sprintf(`"max_request_body": %d, `, limit)
		}
		l, err := config.Decode(config.ListenerType, "x", "1", encode(t, config.ListenerType, strings.Replace(validListener, `"cluster"`, field+`"cluster"`, 1)))
		if err != nil || l.Listener.MaxRequestBody != limit {
			t.Errorf("outbound: %+v, %v", l.Listener, err)
		}
		in, err := config.Decode(config.ListenerType, "inbound", "1", encode(t, config.ListenerType, strings.Replace(validInbound, `"strict"`, field+`"strict"`, 1)))
		if err != nil || in.Inbound.MaxRequestBody != limit {
			t.Errorf("inbound: %+v, %v", in.Inbound, err)
		}
	}
}

// TestRefusals: what the proxy does not do is refused, and the error says what and where.
func TestRefusals(t *testing.T) {
	change := func(valid, old, new string) string {
		if !strings.Contains(valid, old) {
			t.Fatalf("%q is not in %s", old, valid)
		}
		return strings.Replace(valid, old, new, 1)
	}
	const (
		L, R, C, E, S = config.ListenerType, config.RouteType, config.ClusterType, config.EndpointType, config.SecretType
		weighted      = `{"match": {"prefix": "/"}, "metadata": {"filterMetadata": {"dev.leno.backends": {"0": %s}}}, "route": {"weightedClusters": {"clusters": [{"name": "c", "weight": 1}]}}}`
	)
	extra := func(json string) string { return routes(strings.Replace(weighted, "%s", json, 1)) }
	for _, c := range []struct{ typeURL, json, says string }{
		{L, change(validListener, `"name": "x"`, `"name": "y"`), `Listener "x": calls itself "y"`},
		{L, change(validListener, `"HTTP"`, `"SMTP"`), `protocol is "SMTP"`},
		{L, change(validListener, `"cluster": "c"`, `"cluster": ""`), `no cluster`},
		{L, change(validListener, `"cluster": "c"`, `"cluster": "c", "max_request_body": -1`), `max_request_body is not a whole number`},
		{L, change(validListener, `"cluster": "c"`, `"cluster": "c", "shadow": "s"`), `has "shadow"`},
		{L, change(validListener, `"rds": {"routeConfigName": "r"}`, `"rds": {}`), `filter_chains[0].filters[0].typed_config.rds: field route_config_name is empty`},
		{L, change(validListener, `"rds": {"routeConfigName": "r"}`, `"mergeSlashes": true`), `has neither rds nor route_config`},
		{L, change(validListener, `"rds": {"routeConfigName": "r"}`, `"mergeSlashes": true, "rds": {"routeConfigName": "r"}`), `field number 33`},
		{L, change(validListener, `"rds": {"routeConfigName": "r"}`, `"routeConfig": `+routes("")), `does not send everything to "c"`},
		{L, change(validListener, `"filters": [`, `"filters": [{"name": "none"}, `), `has 2 filters`},
		{L, change(validListener, `"filters": [`, `"filterChainMatch": {"serverNames": ["a"]}, "filters": [`), `filter_chain_match: field number 11`},
		{L, change(validListener, `"name": "x"`, `"name": "x", "tcpBacklogSize": 5`), `field number 24`},
		{L, change(validListener, `"rds": {`, `"http2ProtocolOptions": {"allowConnect": true, "maxConcurrentStreams": 5}, "rds": {`), `http2_protocol_options: field number 2`},
		{C, change(validCluster, "EDS", "LOGICAL_DNS"), `Cluster "x": field type is 2`},
		{C, change(validCluster, "LEAST_REQUEST", "RING_HASH"), `field lb_policy is 2`},
		{C, change(validCluster, `"type"`, `"outlierDetection": {}, "type"`), `field number 19`},
		{C, change(validCluster, `"type"`, `"edsClusterConfig": {"serviceName": "y"}, "type"`), `service_name is "y"`},
		{L, change(validSNI, `"tls", "server`, `"raw_buffer", "server`), `filter_chains[0]: field filter_chain_match.transport_protocol is "raw_buffer"`},
		{L, change(validSNI, `"*.example.com"`, `"*example.com"`), `server_names has "*example.com"`},
		{L, change(validSNI, `"*.example.com"`, `"*."`), `server_names has "*."`},
		{L, change(validSNI, `"*.example.com"`, `"A.example.com"`), `no host name in lower case`},
		{L, change(validSNI, `"*.example.com"`, `"b.example.org"`), `two filter_chains for the server name "b.example.org"`},
		{L, change(validSNI, `"transportProtocol"`, `"sourceType": "EXTERNAL", "transportProtocol"`), `filter_chain_match: field number 12`},
		{L, change(validSNI, `"weight": 1`, `"weight": 0`), `weighted_clusters.clusters[0]: field weight is 0`},
		{L, change(validSNI, `{"name": "a"`, `{"name": ""`), `names no cluster`},
		{L, change(validSNI, `"weight": 1`, `"weight": 1, "metadataMatch": {}`), `clusters[0]: field number 3`},
		{L, change(validSNI, `"filterChains"`, `"defaultFilterChain": {"filters": [`+tcpFilter(`"cluster": "c"`)+`]}, "filterChains"`), `default_filter_chain: stands beside server names`},
		{L, change(validSNI, "tls_inspector.v3.TlsInspector", "http_inspector.v3.HttpInspector"), `listener_filters[0]: is a "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector"`},
		{L, change(validSNI, `"TLS"`, `"TCP"`), `listener_filters[0]: is a`},
		{C, httpCluster(`"autoConfig": {}`), `typed_extension_protocol_options[0].value: field auto_config is set`},
		{C, httpCluster(``), `has not exactly one of explicit_http_config and use_downstream_protocol_config`},
		{C, httpCluster(`"explicitHttpConfig": {}`), `explicit_http_config: has not exactly one of`},
		{C, httpCluster(`"explicitHttpConfig": {"http3ProtocolOptions": {}}`), `explicit_http_config: field http3_protocol_options is set`},
		{C, httpCluster(`"explicitHttpConfig": {"http2ProtocolOptions": {"maxConcurrentStreams": 5}}`), `http2_protocol_options: field number 2`},
		{C, httpCluster(`"explicitHttpConfig": {"httpProtocolOptions": {"acceptHttp10": true}}`), `http_protocol_options: field number 2`},
		{C, httpCluster(`"useDownstreamProtocolConfig": {"httpProtocolOptions": {}}`), `does not allow both HTTP/1.1 and HTTP/2`},
		{C, httpCluster(`"useDownstreamProtocolConfig": {"httpProtocolOptions": {}, "http2ProtocolOptions": {}, "http3ProtocolOptions": {}}`), `field http3_protocol_options is set`},
		{C, strings.Replace(httpCluster(`"explicitHttpConfig": {"http2ProtocolOptions": {}}`), `"envoy.extensions.upstreams`, `"x.envoy.extensions.upstreams`, 1), `is "x.envoy.extensions.upstreams`},
		{E, change(validEDS, "10.0.0.1", "example.org"), `ClusterLoadAssignment "x": endpoints[0].lb_endpoints[0].endpoint.address.socket_address: is not an IP address`},
		{E, change(validEDS, `"portValue": 80`, `"portValue": 0`), `port from 1`},
		{E, change(validEDS, `"portValue": 80`, `"portValue": 80, "protocol": "UDP"`), `protocol is not TCP`},
		{E, change(validEDS, `{"endpoint"`, `{"healthStatus": "UNHEALTHY", "endpoint"`), `field number 2`},
		{E, `{"clusterName": "x", "endpoints": [{"lbEndpoints": [{}]}]}`, `socket_address is missing`},
		{S, `{"name": "x", "validationContext": {}}`, `inline_bytes is empty`},
		{S, `{"name": "x", "genericSecret": {}}`, `has no validation_context`},
		{R, hosts(`["example.org"]`), `ignore_port_in_host_matching is not set`},
		{R, hosts(`["Example.org"]`), `virtual_hosts[0]: field domains has "Example.org"`},
		{R, hosts(`[]`), `domains is empty`},
		{R, hosts(`["a.b", "a.b"]`), `another virtual host for "a.b"`},
		{R, hosts(`["*b"]`), `domains has "*b"`},
		{R, routes(`{"match": {"prefix": "/"}}`), `virtual_hosts[0].routes[0]: has no action`},
		{R, routes(`{"route": {"cluster": "c"}}`), `match is missing`},
		{R, routes(`{"match": {"prefix": "/"}, "directResponse": {"status": 200}}`), `is not the failure`},
		{R, routes(`{"match": {"prefix": "/"}, "redirect": {"stripQuery": true}}`), `field number 6`},
		{R, routes(`{"match": {"prefix": "/"}, "redirect": {"portRedirect": 70000}}`), `is not a port`},
		{R, routes(`{"match": {"prefix": "/"}, "tracing": {}, "route": {"cluster": "c"}}`), `field number 15`},
		{R, routes(`{"match": {"prefix": "/"}, "requestHeadersToAdd": [{"header": {"key": "a", "value": "%REQ(b)%"}}], "route": {"cluster": "c"}}`), `has a command`},
		{R, match(`"prefix": "/a"`), `prefix is "/a"`},
		{R, match(`"pathSeparatedPrefix": "/a/"`), `must begin with / and not end with it`},
		{R, match(`"safeRegex": {"regex": "("}`), `safe_regex: error parsing regexp`},
		{R, match(`"prefix": "/", "grpc": {}`), `field number 8`},
		{R, match(`"prefix": "/", "headers": [{"name": "a", "presentMatch": true}]`), `headers[0]: a has no exact or safe_regex`},
		{R, match(`"prefix": "/", "headers": [{"name": "a", "invertMatch": true, "stringMatch": {"exact": "b"}}]`), `headers[0]: field number 8`},
		{R, match(`"prefix": "/", "headers": [{"name": "a", "stringMatch": {"exact": "b", "ignoreCase": true}}]`), `field number 6`},
		{R, match(`"prefix": "/", "headers": [{"name": ":scheme", "stringMatch": {"exact": "b"}}]`), `does not match :scheme`},
		{R, action(`, "timeout": "-1s"`), `timeout is negative`},
		{R, action(`, "timeout": "999999999s"`), `longer than a year`},
		{R, action(`, "maxStreamDuration": {"grpcTimeoutHeaderMax": "5s"}`), `max_stream_duration: field grpc_timeout_header_max is 5s`},
		{R, action(`, "maxStreamDuration": {"maxStreamDuration": "5s"}`), `max_stream_duration: field number 1`},
		{R, action(`, "retryPolicy": {"retryOn": "5xx"}`), `retry_policy: field retry_on is "5xx"`},
		{R, action(`, "hashPolicy": [{"header": {"headerName": "a"}}]`), `field number 15`},
		{R, action(`, "regexRewrite": {"pattern": {"regex": "a"}, "substitution": "b"}`), `regex_rewrite is not one`},
		{R, action(`, "requestMirrorPolicies": [{"cluster": "m"}]`), `disable_shadow_host_suffix_append is not set`},
		{R, routes(`{"match": {"prefix": "/"}, "route": {}}`), `no cluster specifier`},
		{L, change(validListener, `"rds": {`, `"httpFilters": [{"name": "other", "disabled": true, "typedConfig": {"@type": "type.googleapis.com/envoy.extensions.filters.http.composite.v3.Composite"}}], "rds": {`), `http_filters[0]: is a "envoy.extensions.filters.http.composite.v3.Composite"`},
		{L, change(validListener, `"rds": {`, `"httpFilters": [{"name": "dev.leno.externalauth", "typedConfig": {"@type": "type.googleapis.com/envoy.extensions.filters.http.composite.v3.Composite", "matcher": {}}}], "rds": {`), `http_filters[0].typed_config: field number 2`},
		{R, change(validAuth, `"statusOnError"`, `"clearRouteCache": true, "statusOnError"`), `clear_route_cache is true: this proxy matches routes once`},
		{L, change(validListener, `"rds": {`, `"httpFilters": [{"name": "dev.leno.externalauth", "disabled": true, "typedConfig": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}], "rds": {`), `http_filters[0]: is a "envoy.extensions.filters.http.router.v3.Router"`},
		{R, change(validAuth, `"dev.leno.externalauth"`, `"other"`), `typed_per_filter_config[0]: is "other"`},
		{R, change(validAuth, `"matcher": {"onNoMatch"`, `"matcher": {"matcherTree": {}, "onNoMatch"`), `matcher: field number 2`},
		{R, change(validAuth, `ExecuteFilterAction", "typedConfig"`, `ExecuteFilterAction", "samplePercent": {}, "typedConfig"`), `action.typed_config: field number 3`},
		{R, change(validAuth, `"cluster": "a"`, `"cluster": ""`), `names no cluster to ask`},
		{R, change(validAuth, `, "timeout": "5s"`, ``), `no time for the answer`},
		{R, change(validAuth, `"withRequestBody": {"maxRequestBytes": 10}`, `"withRequestBody": {"maxRequestBytes": 10, "allowPartialMessage": true}`), `with_request_body: field number 2`},
		{R, change(validAuth, `"maxRequestBytes": 10`, `"maxRequestBytes": 4000000000`), `max_request_bytes 4000000000 is not supported`},
		{R, change(validAuth, `"exact": "x-a"`, `"exact": "X-A"`), `allowed_headers.patterns[0]: field exact is "X-A"`},
		{R, change(validAuth, `"exact": "x-a"`, `"prefix": "x-a"`), `field exact is ""`},
		{R, change(validAuth, `[^:].*`, `.*`), `field safe_regex is ".*"`},
		{R, change(validAuth, `content-.*|`, ``), `disallow_expression is "connection`},
		{R, change(validAuth, `ServiceUnavailable`, `Forbidden`), `status_on_error is 403`},
		{R, change(validAuth, `65536`, `1`), `max_denied_response_body_bytes is 1`},
		{R, change(validAuth, `"pathPrefix": "/check"`, `"pathPrefix": "check"`), `path_prefix is "check"`},
		{R, change(validAuth, `"statusOnError"`, `"failureModeAllow": true, "statusOnError"`), `field number 2`},
		{R, extra(`{"fault": {}}`), `dev.leno.backends.0 has "fault"`},
		{R, extra(`{"fail": {"status": 200}}`), `status 200 is not that of a failure`},
		{R, extra(`{"redirect": {"port": 1.5}}`), `port is not a whole number`},
		{R, extra(`{"rewrite": {"full": "a", "prefix": "b"}}`), `has full and prefix`},
		{R, extra(`{}, "1": {}`), `dev.leno.backends has "1"`},
		{R, routes(`{"match": {"prefix": "/"}, "route": {"weightedClusters": {"clusters": [{"name": "dev.leno.fail", "weight": 1}]}}}`), `without a failure`},
	} {
		_, err := config.Decode(c.typeURL, "x", "1", encode(t, c.typeURL, c.json))
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.json, err, c.says)
		}
	}
	for _, c := range []struct{ old, new, says string }{
		{`"protocol": "UDP"`, `"protocol": "TCP"`, `address.socket_address: field protocol is 0, not 1`},
		{`"portValue": 53`, `"portValue": 54`, `field address is 127.0.0.1:54`},
		{`"address": {"socketAddress": {"protocol": "UDP", "address": "127.0.0.1", "portValue": 53}},`, ``, `address.socket_address is missing`},
		{`"udpListenerConfig": {}`, `"udpListenerConfig": {"quicOptions": {}}`, `udp_listener_config: field number 7`},
		{`udp_proxy.v3.Route"`, `udp_proxy.v3.UdpProxyConfig"`, `on_no_match.action: is a "envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig"`},
		{`"idleTimeout": "5s"`, `"usePerPacketLoadBalancing": true`, `listener_filters[0].typed_config: field number 7`},
		{`"cluster": "a"}}}}}`, `"cluster": "c"}}}}}`, `leads to "c", which is not among`},
		{`"onNoMatch"`, `"matcherTree": {}, "onNoMatch"`, `matcher: field number 2`},
		{`{"cluster": "a", "weight": 1}`, `{"cluster": "a"}`, `weight is 0`},
		{`"listenerFilters"`, `"filterChains": [{}], "listenerFilters"`, `field number 3`},
	} {
		_, err := config.Decode(L, "udp/127.0.0.1:53", "1", encode(t, L, change(validUDP, c.old, c.new)))
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.new, err, c.says)
		}
	}
	if _, err := config.Decode("a.b.Thing", "x", "1", nil); err == nil {
		t.Error("an unknown type was taken")
	}
}

// httpCluster is a cluster with HttpProtocolOptions.
func httpCluster(options string) string {
	const name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
	if options != "" {
		options = ", " + options
	}
	return `{"name": "x", "type": "EDS", "lbPolicy": "LEAST_REQUEST", "typedExtensionProtocolOptions":
		{"` + name + `": {"@type": "type.googleapis.com/` + name + `"` + options + `}}}`
}

func TestHTTPVersions(t *testing.T) {
	for options, want := range map[string]config.HTTPVersion{
		`"explicitHttpConfig": {"httpProtocolOptions": {}}`:                                                                       config.HTTP1Only,
		`"explicitHttpConfig": {"http2ProtocolOptions": {"allowConnect": true, "overrideStreamErrorOnInvalidHttpMessage": true}}`: config.HTTP2Only,
		`"useDownstreamProtocolConfig": {"httpProtocolOptions": {}, "http2ProtocolOptions": {"allowConnect": true}}`:              config.SameHTTP,
	} {
		r, err := config.Decode(config.ClusterType, "x", "1", encode(t, config.ClusterType, httpCluster(options)))
		if err != nil || r.Cluster.HTTP != want {
			t.Errorf("%s: %+v, %v, want %d", options, r.Cluster, err, want)
		}
	}
}

func TestCheck(t *testing.T) {
	table := &config.RouteTable{Entries: []config.Entry{{Action: &config.Action{
		Backends:     []config.Backend{{Cluster: "b"}, {Fail: &config.Failure{}}, {Cluster: "a", Mirrors: []config.Mirror{{Cluster: "m"}}}},
		ExternalAuth: &config.ExternalAuth{Cluster: "b"},
	}}}}
	c := &config.Config{Routes: map[string]*config.RouteTable{"r": table}, Clusters: map[string]*config.Cluster{"a": {}, "b": {}}}
	if err := config.Check(c); err == nil || !strings.Contains(err.Error(), `"m"`) {
		t.Errorf("%v", err)
	}
	c.Clusters["m"] = &config.Cluster{}
	if err := config.Check(c); err != nil {
		t.Errorf("%v", err)
	}
	at := netip.MustParseAddrPort("127.0.0.1:53")
	c.Datagrams = map[netip.AddrPort]*config.Datagram{at: {Shares: []config.Share{{Cluster: "u"}, {Cluster: "a"}}}}
	c.Outbound = map[netip.AddrPort]*config.Listener{at: {SNI: []config.SNIRule{{Shares: []config.Share{{Cluster: "s"}}}}}}
	if err := config.Check(c); err == nil || !strings.Contains(err.Error(), `"u"`) || !strings.Contains(err.Error(), `"s"`) {
		t.Errorf("%v", err)
	}
}
