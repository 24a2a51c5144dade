package graph

import (
	"slices"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/status"
)

// maxAuthBody is the largest body that a rule can have held until the authorization server has answered.
const maxAuthBody = 16 << 20

// externalAuth is nil if there is nothing to read. Without its server no request of the rule passes: not to ask would be to let
// everybody in.
func (c *ruleCompiler) externalAuth(in *gatewayv1.HTTPExternalAuthFilter, where string, reject func(status.Problem)) *mesh.ExternalAuth {
	out, wrong := c.refs.externalAuth(in, c.from(), reject)
	if wrong != nil {
		located := wrong.In(where).In(c.label)
		c.references = append(c.references, located)
		c.closed = &located
	}
	return out
}

// externalAuth compiles what rules and listeners have alike, and says what is wrong with the reference to the server. It is nil if
// there is nothing to read.
func (r *references) externalAuth(in *gatewayv1.HTTPExternalAuthFilter, by from, reject func(status.Problem)) (*mesh.ExternalAuth, *status.Problem) {
	if in == nil {
		return nil, nil
	}
	out := &mesh.ExternalAuth{}
	switch protocol := in.ExternalAuthProtocol; protocol {
	case gatewayv1.HTTPRouteExternalAuthGRPCProtocol:
		out.GRPC = true
		if g := in.GRPCAuthConfig; g != nil {
			out.RequestHeaders = authHeaders(g.AllowedRequestHeaders, reject)
		}
	case gatewayv1.HTTPRouteExternalAuthHTTPProtocol:
		if h := in.HTTPAuthConfig; h != nil {
			out.PathPrefix = authPath(h.Path, reject)
			out.RequestHeaders = authHeaders(h.AllowedRequestHeaders, reject)
			out.ResponseHeaders = authHeaders(h.AllowedResponseHeaders, reject)
		}
		for _, name := range out.ResponseHeaders {
			if name == "host" || slices.Contains(ownedHeaders, name) {
				reject(status.Unsupported("header %s frames or routes messages and cannot be copied: remove it from allowedResponseHeaders", name))
			}
		}
	default:
		reject(status.Unsupported("protocol %.40q is not known: use HTTP or GRPC", protocol))
	}
	if b := in.ForwardBody; b != nil {
		if b.MaxSize < 0 || b.MaxSize > maxAuthBody {
			reject(status.Unsupported("forwardBody.maxSize %d: use 0 to %d", b.MaxSize, maxAuthBody))
		}
		out.MaxBody = uint32(max(0, b.MaxSize))
	}
	to, wrong := r.backend(in.BackendRef, by)
	out.Server = to
	return out, wrong
}

// authHeaders are names in lower case, sorted.
func authHeaders(in []string, reject func(status.Problem)) []string {
	var out []string
	for _, name := range in {
		switch {
		case name == "*":
			reject(status.Unsupported("header * would be one of that name: list the headers, or none for what that means"))
		case !isToken(name):
			reject(status.Unsupported("header name %.100q has characters that no header can have", name))
		default:
			out = append(out, strings.ToLower(name))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// authPath makes a path prefix one that begins with a slash and ends without.
func authPath(in string, reject func(status.Problem)) string {
	path := strings.Trim(in, "/")
	if path == "" {
		return ""
	}
	for segment := range strings.SplitSeq(path, "/") {
		if dots := strings.ReplaceAll(strings.ToLower(segment), "%2e", "."); dots == "." || dots == ".." || segment == "" {
			reject(status.Unsupported("http.path %.100q has empty or dot segments: write the path in full", in))
			break
		}
	}
	if !isRequestTarget(path) {
		reject(status.Unsupported("http.path %.100q has characters that no path can have", in))
	}
	return "/" + path
}
