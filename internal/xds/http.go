package xds

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	previoushostsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	upstreamsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/leno-mesh/leno/internal/mesh"
)

// What follows is how our own proxy treats HTTP, in Envoy's words: its defaults are those of an edge proxy, which adds to
// messages, takes from them and limits them where a mesh should not be noticed.

// Limits of package proxy/http1.
const (
	maxHeadKB = 128
	maxFields = 200
)

func connectionManager(name string) *hcmv3.HttpConnectionManager {
	return &hcmv3.HttpConnectionManager{
		StatPrefix: statPrefix(name),
		HttpFilters: []*hcmv3.HttpFilter{externalAuthFilter(), {
			Name:       "envoy.filters.http.router",
			ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(&routerv3.Router{SuppressEnvoyHeaders: true})},
		}},
		UpgradeConfigs: []*hcmv3.HttpConnectionManager_UpgradeConfig{{UpgradeType: "websocket"}},

		CommonHttpProtocolOptions:  fieldLimit(),
		HttpProtocolOptions:        http1(),
		Http2ProtocolOptions:       http2Options(),
		MaxRequestHeadersKb:        wrapperspb.UInt32(maxHeadKB),
		ServerHeaderTransformation: hcmv3.HttpConnectionManager_PASS_THROUGH,
		GenerateRequestId:          wrapperspb.Bool(false),
		Proxy_100Continue:          true,        // whether a body is wanted is the backend's to say
		StreamIdleTimeout:          noTimeout(), // routes limit requests
	}
}

// http1 passes trailers on, and serves HTTP/1.0.
func http1() *corev3.Http1ProtocolOptions {
	return &corev3.Http1ProtocolOptions{EnableTrailers: true, AcceptHttp_10: true}
}

func fieldLimit() *corev3.HttpProtocolOptions {
	return &corev3.HttpProtocolOptions{MaxHeadersCount: wrapperspb.UInt32(maxFields)}
}

const (
	// retryOn are failures after which it is certain that no backend has begun to process a request.
	retryOn = "connect-failure,refused-stream"
	// retries are attempts after the first one.
	retries = 2
)

// unprocessed sends a request to another endpoint where it is certain that the first one has not seen it.
func unprocessed() *routev3.RetryPolicy {
	return &routev3.RetryPolicy{
		RetryOn: retryOn, NumRetries: wrapperspb.UInt32(retries),
		RetryHostPredicate: []*routev3.RetryPolicy_RetryHostPredicate{{
			Name:       "envoy.retry_host_predicates.previous_hosts",
			ConfigType: &routev3.RetryPolicy_RetryHostPredicate_TypedConfig{TypedConfig: pack(&previoushostsv3.PreviousHostsPredicate{})},
		}},
		HostSelectionRetryMaxAttempts: 5,
	}
}

// retryToo adds to retryOn what routes ask for. Leno's proxies send a request again after a reset only if its method is idempotent,
// for which a RetryPolicy has no word; without reset, Envoy would make no other attempt after per_try_timeout either.
const retryToo = retryOn + ",reset,retriable-status-codes,unavailable"

// retryPolicy is a rule's own, where it has one.
func retryPolicy(r *mesh.Retry) *routev3.RetryPolicy {
	p := unprocessed()
	if r == nil {
		return p
	}
	p.RetryOn, p.NumRetries = retryToo, wrapperspb.UInt32(r.Attempts)
	for _, status := range r.Statuses {
		p.RetriableStatusCodes = append(p.RetriableStatusCodes, uint32(status))
	}
	if r.Backoff > 0 {
		p.RetryBackOff = &routev3.RetryPolicy_RetryBackOff{BaseInterval: durationpb.New(r.Backoff)}
	}
	return p
}

// httpOptionsKey is where a cluster says which version of HTTP its endpoints get.
const httpOptionsKey = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

// setHTTPVersion says which version of HTTP endpoints get: HTTP/2 where the port is declared so, what the client speaks where it is
// declared as HTTP or not at all. Envoy's default would be HTTP/1.1 for everybody.
func setHTTPVersion(c *clusterv3.Cluster, protocol mesh.Protocol) {
	options := httpOptions()
	switch protocol {
	case mesh.ProtocolHTTP2:
		options.UpstreamProtocolOptions = onlyHTTP2()
	case mesh.ProtocolHTTP, mesh.ProtocolUndeclared:
		options.UpstreamProtocolOptions = &upstreamsv3.HttpProtocolOptions_UseDownstreamProtocolConfig{
			UseDownstreamProtocolConfig: &upstreamsv3.HttpProtocolOptions_UseDownstreamHttpConfig{
				HttpProtocolOptions: &corev3.Http1ProtocolOptions{EnableTrailers: true}, Http2ProtocolOptions: http2Options(),
			},
		}
	default:
		return // no HTTP, as far as we can see
	}
	c.TypedExtensionProtocolOptions = map[string]*anypb.Any{httpOptionsKey: pack(options)}
}

// speaksHTTP tells whether requests may go to a port.
func speaksHTTP(p mesh.Protocol) bool { return p != mesh.ProtocolTCP && p != mesh.ProtocolTLS }

// setDeclaredVersion is the same where the client's version does not matter, at gateways, and where it cannot, as TLS offers one version
// by name: HTTP/1.1 but where the port is declared as HTTP/2.
func setDeclaredVersion(c *clusterv3.Cluster, protocol mesh.Protocol) {
	options := httpOptions()
	options.UpstreamProtocolOptions = &upstreamsv3.HttpProtocolOptions_ExplicitHttpConfig_{
		ExplicitHttpConfig: &upstreamsv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &upstreamsv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{
				HttpProtocolOptions: &corev3.Http1ProtocolOptions{EnableTrailers: true},
			},
		},
	}
	if protocol == mesh.ProtocolHTTP2 {
		options.UpstreamProtocolOptions = onlyHTTP2()
	}
	c.TypedExtensionProtocolOptions = map[string]*anypb.Any{httpOptionsKey: pack(options)}
}

func httpOptions() *upstreamsv3.HttpProtocolOptions {
	limits := fieldLimit()
	limits.MaxResponseHeadersKb = wrapperspb.UInt32(maxHeadKB)
	return &upstreamsv3.HttpProtocolOptions{CommonHttpProtocolOptions: limits}
}

func onlyHTTP2() *upstreamsv3.HttpProtocolOptions_ExplicitHttpConfig_ {
	return &upstreamsv3.HttpProtocolOptions_ExplicitHttpConfig_{
		ExplicitHttpConfig: &upstreamsv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &upstreamsv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{Http2ProtocolOptions: http2Options()},
		},
	}
}

// http2Options let extended CONNECT through (RFC 8441), which is how HTTP/2 carries WebSocket.
func http2Options() *corev3.Http2ProtocolOptions {
	return &corev3.Http2ProtocolOptions{AllowConnect: true, OverrideStreamErrorOnInvalidHttpMessage: wrapperspb.Bool(true)}
}

// alpnOffer is what the cluster's connections offer. A cluster has one offer for all. Where the protocol is not declared, opaque is
// the one that is always right. Where it is HTTP of either version, which of them follows is seen by the first bytes.
func alpnOffer(protocol mesh.Protocol) []string {
	switch protocol {
	case mesh.ProtocolHTTP:
		return []string{alpnHTTP1, alpnHTTP2}
	case mesh.ProtocolHTTP2:
		return []string{alpnHTTP2}
	default:
		return []string{alpnTCP}
	}
}
