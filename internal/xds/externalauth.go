package xds

import (
	"strconv"
	"time"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	compositev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/composite/v3"
	authzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/leno-mesh/leno/internal/mesh"
)

// externalAuthName is the HTTP filter of each connection manager that asks authorization servers where a route says so. It is a
// composite one, since Envoy's ext_authz cannot have its lists of headers by route; so a route has a whole ext_authz. The filter is
// there from the start: a route that names one that is not there yet would let everybody in.
const externalAuthName = "dev.leno.externalauth"

func externalAuthFilter() *hcmv3.HttpFilter {
	f := compositeFilter(externalAuthName)
	f.Disabled = true // but for routes with a configuration of their own
	return f
}

func compositeFilter(name string) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(&compositev3.Composite{})}}
}

// externalAuth is what a route says of the filter; nil for nothing.
func externalAuth(m *mesh.Mesh, a *mesh.ExternalAuth) map[string]*anypb.Any {
	if a == nil {
		return nil
	}
	return map[string]*anypb.Any{externalAuthName: pack(&compositev3.CompositePerRoute{Matcher: alwaysAsk(extAuthz(m, a))})}
}

// alwaysAsk makes a composite filter the one that asks.
func alwaysAsk(how *authzv3.ExtAuthz) *xdsmatcherv3.Matcher {
	action := &compositev3.ExecuteFilterAction{TypedConfig: &corev3.TypedExtensionConfig{Name: "envoy.filters.http.ext_authz", TypedConfig: pack(how)}}
	return &xdsmatcherv3.Matcher{OnNoMatch: &xdsmatcherv3.Matcher_OnMatch{OnMatch: &xdsmatcherv3.Matcher_OnMatch_Action{
		Action: &xdscorev3.TypedExtensionConfig{Name: "ask", TypedConfig: pack(action)},
	}}}
}

const (
	// authTimeout is how long a server may take: it may have to ask others, while a client waits.
	authTimeout = 5 * time.Second
	// authRefusal is the most of a refusal's body that is passed on: more than a page that says where to log in.
	authRefusal = 64 << 10
	// authFramed are what no server changes: what frames the request is the proxy's. (Envoy adds Host to them.) authOwn are, beyond
	// that, about the body of the server's own answer. Envoy wants its expressions short.
	authFramed = "content-length|" + authHop
	authOwn    = "content-.*|" + authHop
	authHop    = "connection|expect|keep-alive|proxy-connection|te|trailer|transfer-encoding|upgrade"
	// anyField is all but what Envoy has fields of its own for.
	anyField = "[^:].*"
)

// extAuthz is the filter in Envoy's words. A server that cannot be asked closes the rule.
func extAuthz(m *mesh.Mesh, a *mesh.ExternalAuth) *authzv3.ExtAuthz {
	e := &authzv3.ExtAuthz{
		TransportApiVersion:        corev3.ApiVersion_V3,
		StatusOnError:              &typev3.HttpStatus{Code: typev3.StatusCode_ServiceUnavailable},
		ValidateMutations:          true,
		AllowedHeaders:             names(a.RequestHeaders),
		MaxDeniedResponseBodyBytes: authRefusal,
		DecoderHeaderMutationRules: &mutationv3.HeaderMutationRules{DisallowExpression: regex(authFramed)},
	}
	if a.MaxBody > 0 {
		// A body need not be text, as the protocol's other field for it would have it.
		e.WithRequestBody = &authzv3.BufferSettings{MaxRequestBytes: a.MaxBody, PackAsBytes: a.GRPC}
	}
	server := authority(m, a.Server)
	if a.GRPC {
		e.Services = &authzv3.ExtAuthz_GrpcService{GrpcService: &corev3.GrpcService{
			TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{
				ClusterName: ClusterName(a.Server), Authority: server,
			}},
			Timeout: durationpb.New(authTimeout),
		}}
		return e
	}
	copied := names(a.ResponseHeaders)
	if copied == nil {
		copied = &matcherv3.ListStringMatcher{Patterns: []*matcherv3.StringMatcher{text(mesh.ValueMatch{Regex: true, Value: anyField})}}
		e.DecoderHeaderMutationRules.DisallowExpression = regex(authOwn)
	}
	e.Services = &authzv3.ExtAuthz_HttpService{HttpService: &authzv3.HttpService{
		ServerUri: &corev3.HttpUri{
			Uri: "http://" + server, HttpUpstreamType: &corev3.HttpUri_Cluster{Cluster: ClusterName(a.Server)}, Timeout: durationpb.New(authTimeout),
		},
		PathPrefix:            a.PathPrefix,
		AuthorizationResponse: &authzv3.AuthorizationResponse{AllowedUpstreamHeaders: copied},
	}}
	return e
}

// names matches a list of header names; nil for none.
func names(list []string) *matcherv3.ListStringMatcher {
	if len(list) == 0 {
		return nil
	}
	m := &matcherv3.ListStringMatcher{}
	for _, name := range list {
		m.Patterns = append(m.Patterns, text(mesh.ValueMatch{Value: name}))
	}
	return m
}

// authority is what a port is called by those who ask there.
func authority(m *mesh.Mesh, sp mesh.ServicePort) string {
	host := sp.Name.Name + "." + sp.Namespace
	if _, port := servicePort(m, sp); port != nil && port.Hostname != "" {
		host = port.Hostname
	}
	return host + ":" + strconv.Itoa(int(sp.Port))
}
