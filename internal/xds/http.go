package xds

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	previoushostsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	upstreamsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/anypb"
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
		HttpFilters: []*hcmv3.HttpFilter{{
			Name:       "envoy.filters.http.router",
			ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(&routerv3.Router{SuppressEnvoyHeaders: true})},
		}},
		UpgradeConfigs: []*hcmv3.HttpConnectionManager_UpgradeConfig{{UpgradeType: "websocket"}},

		CommonHttpProtocolOptions:  fieldLimit(),
		HttpProtocolOptions:        http1(),
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

// upstreamHTTP speaks to backends in the version of HTTP that the client speaks.
func upstreamHTTP() map[string]*anypb.Any {
	limits := fieldLimit()
	limits.MaxResponseHeadersKb = wrapperspb.UInt32(maxHeadKB)
	return map[string]*anypb.Any{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": pack(&upstreamsv3.HttpProtocolOptions{
		CommonHttpProtocolOptions: limits,
		UpstreamProtocolOptions: &upstreamsv3.HttpProtocolOptions_UseDownstreamProtocolConfig{
			UseDownstreamProtocolConfig: &upstreamsv3.HttpProtocolOptions_UseDownstreamHttpConfig{
				HttpProtocolOptions:  &corev3.Http1ProtocolOptions{EnableTrailers: true},
				Http2ProtocolOptions: &corev3.Http2ProtocolOptions{},
			},
		},
	})}
}

// speaksHTTP tells whether requests of HTTP may go to a port.
func speaksHTTP(p mesh.Protocol) bool { return p != mesh.ProtocolTCP && p != mesh.ProtocolTLS }

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
