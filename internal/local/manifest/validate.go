package manifest

import (
	"net/http"
	"regexp"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/api/v1alpha1"
	"github.com/leno-mesh/leno/internal/snapshot"
)

// Validate finds the mistakes that an API server refuses and that matter here. What an API server would let pass is left
// to the mesh, which answers with status.
func Validate(obj snapshot.Object) field.ErrorList {
	errs := validateName(obj)
	spec := field.NewPath("spec")
	switch o := obj.(type) {
	case *corev1.Service:
		for i, port := range o.Spec.Ports {
			errs = append(errs, validatePort(spec.Child("ports").Index(i).Child("port"), port.Port)...)
		}
	case *appsv1.Deployment:
		errs = append(errs, validateDeployment(o, spec)...)
	case *gatewayv1.Gateway:
		for i, l := range o.Spec.Listeners {
			errs = append(errs, validateListenerFilters(l.Protocol, l.Filters, spec.Child("listeners").Index(i).Child("filters"))...)
		}
	case *gatewayv1.ListenerSet:
		for i, l := range o.Spec.Listeners {
			errs = append(errs, validateListenerFilters(l.Protocol, l.Filters, spec.Child("listeners").Index(i).Child("filters"))...)
		}
	case *gatewayv1.HTTPRoute:
		for i, rule := range o.Spec.Rules {
			errs = append(errs, validateRule(rule, spec.Child("rules").Index(i))...)
		}
	case *v1alpha1.Mesh:
		if o.Name != v1alpha1.MeshName {
			errs = append(errs, field.Invalid(field.NewPath("metadata", "name"), o.Name, `a cluster has one Mesh and it is named "default"`))
		}
		errs = append(errs, validateMesh(o, spec)...)
	}
	return errs
}

func validateName(obj snapshot.Object) field.ErrorList {
	path := field.NewPath("metadata", "name")
	if obj.GetName() == "" {
		return field.ErrorList{field.Required(path, "each object has a name")}
	}
	var errs field.ErrorList
	name := obj.GetName()
	if _, bundle := obj.(*certificatesv1.ClusterTrustBundle); bundle {
		name = strings.ReplaceAll(name, ":", ".") // "<signer>:<name>"; a signer has a slash as a colon
	}
	for _, message := range validation.IsDNS1123Subdomain(name) {
		errs = append(errs, field.Invalid(path, obj.GetName(), message))
	}
	return errs
}

func validatePort(path *field.Path, port int32) field.ErrorList {
	if port < 1 || port > 65535 {
		return field.ErrorList{field.Invalid(path, port, "a port is between 1 and 65535")}
	}
	return nil
}

func validateDeployment(d *appsv1.Deployment, spec *field.Path) field.ErrorList {
	var errs field.ErrorList
	if d.Spec.Selector == nil {
		return append(errs, field.Required(spec.Child("selector"), "must match the labels of the template"))
	}
	for key, value := range d.Spec.Selector.MatchLabels {
		if d.Spec.Template.Labels[key] != value {
			errs = append(errs, field.Invalid(spec.Child("template", "metadata", "labels"), d.Spec.Template.Labels, "spec.selector asks for "+key+"="+value))
		}
	}
	if d.Spec.Replicas != nil && *d.Spec.Replicas < 0 {
		errs = append(errs, field.Invalid(spec.Child("replicas"), *d.Spec.Replicas, "must not be negative"))
	}
	slices.SortFunc(errs, func(a, b *field.Error) int { return strings.Compare(a.Error(), b.Error()) })
	return errs
}

// maxWeight is that of the Gateway API.
const maxWeight = 1_000_000

func validateRule(rule gatewayv1.HTTPRouteRule, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, match := range rule.Matches {
		errs = append(errs, validateMatch(match, path.Child("matches").Index(i))...)
	}
	errs = append(errs, validateFilters(rule.Filters, path.Child("filters"))...)
	for i, backend := range rule.BackendRefs {
		path := path.Child("backendRefs").Index(i)
		if backend.Weight != nil && (*backend.Weight < 0 || *backend.Weight > maxWeight) {
			errs = append(errs, field.Invalid(path.Child("weight"), *backend.Weight, "a weight is between 0 and 1000000"))
		}
		errs = append(errs, validateBackend(backend.BackendObjectReference, path)...)
		errs = append(errs, validateFilters(backend.Filters, path.Child("filters"))...)
	}
	return errs
}

func validateBackend(ref gatewayv1.BackendObjectReference, path *field.Path) field.ErrorList {
	if ref.Name == "" {
		return field.ErrorList{field.Required(path.Child("name"), "names a Service")}
	}
	isService := (ref.Group == nil || *ref.Group == "") && (ref.Kind == nil || *ref.Kind == "Service")
	if isService && ref.Port == nil {
		return field.ErrorList{field.Required(path.Child("port"), "a Service is referred to with its port")}
	}
	if ref.Port != nil {
		return validatePort(path.Child("port"), *ref.Port)
	}
	return nil
}

func validateMatch(match gatewayv1.HTTPRouteMatch, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if match.Path != nil && match.Path.Value != nil {
		path, value := path.Child("path", "value"), *match.Path.Value
		regex := match.Path.Type != nil && *match.Path.Type == gatewayv1.PathMatchRegularExpression
		if regex {
			errs = append(errs, validateRegex(path, value)...)
		} else if !strings.HasPrefix(value, "/") {
			errs = append(errs, field.Invalid(path, value, "a path begins with /"))
		}
	}
	for i, header := range match.Headers {
		if header.Type != nil && *header.Type == gatewayv1.HeaderMatchRegularExpression {
			errs = append(errs, validateRegex(path.Child("headers").Index(i).Child("value"), header.Value)...)
		}
	}
	for i, param := range match.QueryParams {
		if param.Type != nil && *param.Type == gatewayv1.QueryParamMatchRegularExpression {
			errs = append(errs, validateRegex(path.Child("queryParams").Index(i).Child("value"), param.Value)...)
		}
	}
	methods := []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace, http.MethodPatch}
	if match.Method != nil && !slices.Contains(methods, string(*match.Method)) {
		errs = append(errs, field.NotSupported(path.Child("method"), string(*match.Method), methods))
	}
	return errs
}

func validateRegex(path *field.Path, value string) field.ErrorList {
	if _, err := regexp.Compile(value); err != nil {
		return field.ErrorList{field.Invalid(path, value, err.Error())}
	}
	return nil
}

func validateFilters(filters []gatewayv1.HTTPRouteFilter, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, filter := range filters {
		path := path.Index(i)
		given := map[gatewayv1.HTTPRouteFilterType]bool{
			gatewayv1.HTTPRouteFilterRequestHeaderModifier:  filter.RequestHeaderModifier != nil,
			gatewayv1.HTTPRouteFilterResponseHeaderModifier: filter.ResponseHeaderModifier != nil,
			gatewayv1.HTTPRouteFilterRequestRedirect:        filter.RequestRedirect != nil,
			gatewayv1.HTTPRouteFilterRequestMirror:          filter.RequestMirror != nil,
			gatewayv1.HTTPRouteFilterURLRewrite:             filter.URLRewrite != nil,
			gatewayv1.HTTPRouteFilterExtensionRef:           filter.ExtensionRef != nil,
			gatewayv1.HTTPRouteFilterCORS:                   filter.CORS != nil,
			gatewayv1.HTTPRouteFilterExternalAuth:           filter.ExternalAuth != nil,
		}
		if filled, known := given[filter.Type]; known && !filled {
			name := strings.ToLower(string(filter.Type[:1])) + string(filter.Type[1:])
			errs = append(errs, field.Required(path, "type "+string(filter.Type)+" needs the field "+name))
		} else if filter.Type == "" {
			errs = append(errs, field.Required(path.Child("type"), "names the filter, like RequestHeaderModifier"))
		}
		if filter.RequestMirror != nil {
			errs = append(errs, validateBackend(filter.RequestMirror.BackendRef, path.Child("requestMirror", "backendRef"))...)
		}
		if filter.ExternalAuth != nil {
			errs = append(errs, validateBackend(filter.ExternalAuth.BackendRef, path.Child("externalAuth", "backendRef"))...)
		}
		if r := filter.RequestRedirect; r != nil && r.StatusCode != nil && !slices.Contains([]int{301, 302, 303, 307, 308}, *r.StatusCode) {
			errs = append(errs, field.NotSupported(path.Child("requestRedirect", "statusCode"), *r.StatusCode, []string{"301", "302", "303", "307", "308"}))
		}
	}
	return errs
}

func validateListenerFilters(protocol gatewayv1.ProtocolType, filters *gatewayv1.ListenerFilters, path *field.Path) field.ErrorList {
	if filters == nil {
		return nil
	}
	if protocol != gatewayv1.HTTPProtocolType && protocol != gatewayv1.HTTPSProtocolType {
		return field.ErrorList{field.Invalid(path, protocol, "filters are for listeners of protocol HTTP and HTTPS")}
	}
	var errs field.ErrorList
	for i, filter := range filters.Requests {
		path := path.Child("requests").Index(i)
		switch {
		case filter.Type != gatewayv1.ListenerFilterExternalAuth && filter.Type != gatewayv1.ListenerFilterExtensionRef:
			errs = append(errs, field.NotSupported(path.Child("type"), filter.Type, []gatewayv1.ListenerFilterType{gatewayv1.ListenerFilterExternalAuth, gatewayv1.ListenerFilterExtensionRef}))
		case (filter.Type == gatewayv1.ListenerFilterExternalAuth) != (filter.ExternalAuth != nil),
			(filter.Type == gatewayv1.ListenerFilterExtensionRef) != (filter.ExtensionRef != nil):
			errs = append(errs, field.Required(path, "type "+string(filter.Type)+" needs the field of the same name, and no other"))
		case filter.ExternalAuth != nil:
			errs = append(errs, validateBackend(filter.ExternalAuth.BackendRef, path.Child("externalAuth", "backendRef"))...)
		}
	}
	return errs
}

func validateMesh(m *v1alpha1.Mesh, spec *field.Path) field.ErrorList {
	var errs field.ErrorList
	oneOf := func(path *field.Path, value string, allowed ...string) {
		if value != "" && !slices.Contains(allowed, value) {
			errs = append(errs, field.NotSupported(path, value, allowed))
		}
	}
	oneOf(spec.Child("mtls", "mode"), string(m.Spec.MTLS.Mode), string(v1alpha1.MTLSPermissive), string(v1alpha1.MTLSStrict))
	oneOf(spec.Child("outbound", "policy"), string(m.Spec.Outbound.Policy), string(v1alpha1.OutboundAllow), string(v1alpha1.OutboundDeny), string(v1alpha1.OutboundRegistryOnly))
	return errs
}
