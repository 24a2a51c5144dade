package graph

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	xv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/status"
)

// xbackend is one XBackend (GEP-4894).
type xbackend struct {
	name     mesh.Name
	object   *xv1alpha1.XBackend
	service  *mesh.Service
	invalid  *status.Problem  // it is no destination then
	problems []status.Problem // with references
}

func xbackendsOf(in map[mesh.Name]*xv1alpha1.XBackend, trustDomain string, refs *references) map[mesh.Name]*xbackend {
	out := make(map[mesh.Name]*xbackend, len(in))
	for name, object := range in {
		out[name] = xbackendOf(name, object, trustDomain, refs)
	}
	return out
}

func xbackendOf(name mesh.Name, object *xv1alpha1.XBackend, trustDomain string, refs *references) *xbackend {
	b := &xbackend{name: name, object: object}
	reject := func(format string, args ...any) {
		if b.invalid == nil {
			b.invalid = ptr(status.Why(status.ReasonInvalid, format, args...))
		}
	}
	spec := &object.Spec
	port := mesh.Port{}
	if spec.Port.Number < 1 || spec.Port.Number > 65535 {
		reject("port.number is %d: use 1 to 65535", spec.Port.Number)
	} else {
		port.Number = uint16(spec.Port.Number)
	}
	switch {
	case spec.Type != xv1alpha1.BackendTypeExternalHostname:
		reject("type %.40s is not supported: use ExternalHostname, or refer to a Service", spec.Type)
	case spec.ExternalHostname == nil:
		reject("externalHostname is missing")
	default:
		port.Hostname = externalHostname(spec.ExternalHostname.Hostname, trustDomain, reject)
	}
	protocol, known := backendProtocols[xv1alpha1.BackendProtocol(deref(spec.Protocol))]
	if !known {
		reject("protocol %.40s is not known: use one of TCP, HTTP, HTTP11, HTTP2, H2C, GRPC, WSS and MCP", deref(spec.Protocol))
	}
	port.Protocol = protocol
	origin := mesh.Origin{Kind: "XBackend", Namespace: name.Namespace, Name: name.Name, Generation: object.Generation}
	port.TLS = b.tls(origin, refs, reject)
	b.service = &mesh.Service{Name: name, Origin: origin, Ports: []mesh.Port{port}}
	return b
}

// backendProtocols are what the protocols of XBackends are to a proxy. MCP is HTTP; WebSocket over TLS begins as HTTP/1.1.
var backendProtocols = map[xv1alpha1.BackendProtocol]mesh.Protocol{
	"":                              mesh.ProtocolUndeclared,
	xv1alpha1.BackendProtocolHTTP:   mesh.ProtocolHTTP,
	xv1alpha1.BackendProtocolHTTP11: mesh.ProtocolHTTP,
	xv1alpha1.BackendProtocolMCP:    mesh.ProtocolHTTP,
	xv1alpha1.BackendProtocolWSS:    mesh.ProtocolHTTP,
	xv1alpha1.BackendProtocolHTTP2:  mesh.ProtocolHTTP2,
	xv1alpha1.BackendProtocolH2C:    mesh.ProtocolHTTP2,
	xv1alpha1.BackendProtocolGRPC:   mesh.ProtocolHTTP2,
	xv1alpha1.BackendProtocolTCP:    mesh.ProtocolTCP,
}

// externalHostname is a name that DNS is asked for: of a host outside of the cluster, since what is inside has other ways and other
// guards (CVE-2021-25740).
func externalHostname(in gatewayv1.PreciseHostname, trustDomain string, reject func(string, ...any)) string {
	name := strings.ToLower(string(in))
	hostname(gatewayv1.PreciseHostname(name), func(p status.Problem) { reject("externalHostname: %s", p.Text) })
	if _, err := netip.ParseAddr(name); err == nil {
		reject("externalHostname.hostname %s is an address: use a name", name)
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			reject("externalHostname.hostname %.100s has a part that is empty or longer than 63 characters", name)
		}
	}
	for _, domain := range []string{"cluster.local", trustDomain, "localhost"} {
		if name == domain || strings.HasSuffix(name, "."+domain) {
			reject("externalHostname.hostname %.100s is inside of the cluster: refer to a Service", name)
		}
	}
	return name
}

// tls is how the backend is spoken to in TLS; nil: in plain text.
func (b *xbackend) tls(origin mesh.Origin, refs *references, reject func(string, ...any)) *mesh.BackendTLS {
	in := b.object.Spec.TLS
	secure := in != nil && in.Mode != xv1alpha1.BackendTLSModeNone
	switch protocol := xv1alpha1.BackendProtocol(deref(b.object.Spec.Protocol)); {
	case secure && protocol == xv1alpha1.BackendProtocolH2C:
		reject("protocol H2C is HTTP/2 without TLS: use HTTP2, or tls.mode None")
	case !secure && (protocol == xv1alpha1.BackendProtocolHTTP2 || protocol == xv1alpha1.BackendProtocolWSS):
		reject("protocol %s needs TLS: set tls.mode to ServerOnly or ClientAndServer", protocol)
	}
	if !secure {
		return nil
	}
	if in.Mode != xv1alpha1.BackendTLSModeServerOnly && in.Mode != xv1alpha1.BackendTLSModeClientAndServer {
		reject("tls.mode %.40s is not known: use None, ServerOnly or ClientAndServer", in.Mode)
		return nil
	}
	if in.Validation == nil {
		reject("tls.validation is missing: it says whose certificate the host must show")
		return nil
	}
	v := validationOf(*in.Validation, origin, refs)
	b.problems = append(b.problems, v.problems...)
	if v.refused != nil {
		reject("tls.validation: %s", v.refused.Text)
	}
	if in.Mode == xv1alpha1.BackendTLSModeClientAndServer {
		if in.ClientCertificateRef == nil {
			reject("tls.clientCertificateRef is missing: mode ClientAndServer shows a certificate")
			return nil
		}
		certificate, wrong := refs.certificate(*in.ClientCertificateRef, "XBackend", b.name.Namespace, status.ReasonInvalidClientCertificate)
		if wrong != nil {
			b.problems = append(b.problems, *wrong)
			reject("%s", wrong.Text)
		}
		v.tls.Certificate = certificate
	}
	return v.tls
}

// xbackend finds what a route's reference to an XBackend means.
func (r *references) xbackend(ref gatewayv1.BackendObjectReference, name mesh.Name, by from) (mesh.ServicePort, *status.Problem) {
	to := mesh.ServicePort{Name: name, XBackend: true}
	// Whether it exists is nobody's business elsewhere.
	if name.Namespace != by.namespace {
		return to, ptr(status.XBackendElsewhere(name, by.namespace))
	}
	b := r.xbackends[name]
	if b == nil {
		return to, ptr(status.XBackendMissing(name))
	}
	port := b.service.Ports[0]
	to.Port = port.Number
	switch {
	case b.invalid != nil:
		return to, ptr(status.XBackendInvalid(name, *b.invalid))
	case ref.Port != nil:
		return to, ptr(status.XBackendPort(name))
	case by.udp() || by.http() && port.Protocol == mesh.ProtocolTCP:
		return to, ptr(status.XBackendProtocol(name, cmp.Or(deref(b.object.Spec.Protocol), "TCP"), by.kind))
	}
	return to, nil
}

// servicesOfXBackends are those that are valid.
func servicesOfXBackends(in map[mesh.Name]*xbackend) map[mesh.Name]*mesh.Service {
	out := map[mesh.Name]*mesh.Service{}
	for name, b := range in {
		if b.invalid == nil {
			out[name] = b.service
		}
	}
	return out
}

// maxBackendAncestors is how many ancestors the status of an XBackend can have.
const maxBackendAncestors = 32

// xbackendWants is the status of all XBackends: for each Gateway and each Service whose routes lead to them.
func xbackendWants(in map[mesh.Name]*xbackend, a *attachment) []status.Want {
	users := map[mesh.Name]map[status.ParentRef]bool{}
	note := func(to mesh.ServicePort, ref status.ParentRef) {
		if to.XBackend {
			if users[to.Name] == nil {
				users[to.Name] = map[status.ParentRef]bool{}
			}
			users[to.Name][ref] = true
		}
	}
	for name, to := range a.gateways.destinations() {
		note(to, status.ParentRef{Group: gatewayv1.GroupName, Kind: "Gateway", Namespace: name.Namespace, Name: name.Name})
	}
	for key, at := range a.tables {
		for r := range at.routes {
			for to := range r.rulesAs(roleOf(key.port.Name, r.name), a.refs).destinations() {
				note(to, status.ParentRef{Kind: "Service", Namespace: key.port.Namespace, Name: key.port.Name.Name})
			}
		}
	}
	out := make([]status.Want, 0, len(in))
	for _, name := range slices.SortedFunc(maps.Keys(in), compareNames) {
		want := status.Want{Kind: "XBackend", Name: name, Generation: in[name].object.Generation}
		refs := slices.SortedFunc(maps.Keys(users[name]), func(a, b status.ParentRef) int {
			return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
		})
		for _, ref := range refs[:min(len(refs), maxBackendAncestors)] {
			want.Parents = append(want.Parents, status.Parent{Ref: ref, Conditions: in[name].conditions(ref.Kind)})
		}
		out = append(out, want)
	}
	return out
}

func (b *xbackend) conditions(ancestor string) []status.Condition {
	accepted := status.True(status.TypeAccepted, status.ReasonAccepted, "Requests go to the host that the backend names")
	port := b.service.Ports[0]
	switch {
	case b.invalid != nil:
		accepted = status.Because(status.TypeAccepted, []status.Problem{*b.invalid})
		accepted.Message += ". Requests for the backend are answered with 500"
	case ancestor == "Service" && port.TLS != nil && port.TLS.Certificate != nil:
		accepted = status.False(status.TypeAccepted, status.ReasonInvalid, "%s", clientCertificateInMesh)
	case port.TLS == nil:
		accepted.Message += ". Note: without TLS, anybody on the way can read and change what is said"
	}
	resolved := status.True(status.TypeResolvedRefs, status.ReasonResolvedRefs, "All references are resolved")
	if len(b.problems) > 0 {
		resolved = status.Because(status.TypeResolvedRefs, b.problems)
	}
	return []status.Condition{accepted, resolved}
}

// clientCertificateInMesh says what sidecars do not do: each pod that may send requests there would get the private key.
const clientCertificateInMesh = "tls.mode ClientAndServer works at Gateways only, as sidecars get no private keys but their own: " +
	"attach the route to a Gateway, or use ServerOnly. Requests for the backend are answered with 500"
