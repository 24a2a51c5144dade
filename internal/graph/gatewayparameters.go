package graph

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/api/v1alpha1"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/status"
)

// What a parametersRef may refer to.
const (
	parametersGroup = "mesh.leno.dev"
	parametersKind  = "GatewayParameters"
)

// class is a GatewayClass of ours.
type class struct {
	name       mesh.Name
	object     *gatewayv1.GatewayClass
	parameters *v1alpha1.GatewayParametersSpec // nil: none
	// refused says why it is not accepted.
	refused *status.Problem
}

func classOf(name mesh.Name, object *gatewayv1.GatewayClass, refs *references) *class {
	c := &class{name: name, object: object}
	if ref := object.Spec.ParametersRef; ref != nil {
		c.parameters, c.refused = refs.gatewayParameters("spec.parametersRef", string(ref.Group), string(ref.Kind), mesh.Name{Namespace: deref(ref.Namespace), Name: ref.Name})
	}
	return c
}

// gatewayParameters finds what a reference in a field leads to, and says what is wrong with it.
func (r *references) gatewayParameters(field, group, kind string, name mesh.Name) (*v1alpha1.GatewayParametersSpec, *status.Problem) {
	wrong := func(format string, args ...any) (*v1alpha1.GatewayParametersSpec, *status.Problem) {
		return nil, ptr(status.Why(status.ReasonInvalidParameters, format, args...).In(field))
	}
	if group != parametersGroup || kind != parametersKind {
		return wrong("%.300s says nothing of gateways: refer to a %s", kindOf(group, kind), kindOf(parametersGroup, parametersKind))
	}
	if name.Namespace == "" {
		return wrong("GatewayParameters are in a namespace: say in which one those named %.253s are", name.Name)
	}
	found := r.parameters[name]
	if found == nil {
		return wrong("GatewayParameters %s do not exist: create them or correct the reference", name)
	}
	if above := requestAboveLimit(found.Spec.Resources); above != "" {
		return wrong("GatewayParameters %s request more %.100s than they allow: raise the limit or lower the request", name, above)
	}
	return &found.Spec, nil
}

// requestAboveLimit is the name of a resource of which more is requested than the limit is, "" for none.
func requestAboveLimit(r *corev1.ResourceRequirements) string {
	if r == nil {
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(r.Requests)) {
		if limit, limited := r.Limits[name]; limited && limit.Cmp(r.Requests[name]) < 0 {
			return string(name)
		}
	}
	return ""
}

// parametersOf is what holds for a Gateway. With a problem nothing is known.
func parametersOf(object *gatewayv1.Gateway, of *class, refs *references) (mesh.Parameters, *status.Problem) {
	if of.refused != nil {
		return mesh.Parameters{}, ptr(status.Why(status.ReasonInvalidParameters, "GatewayClass %s is not accepted: %s", of.name.Name, of.refused.Text))
	}
	var own *v1alpha1.GatewayParametersSpec
	if i := object.Spec.Infrastructure; i != nil && i.ParametersRef != nil {
		ref := i.ParametersRef
		found, wrong := refs.gatewayParameters("spec.infrastructure.parametersRef", string(ref.Group), string(ref.Kind), mesh.Name{Namespace: object.Namespace, Name: ref.Name})
		if wrong != nil {
			return mesh.Parameters{}, wrong
		}
		own = found
	}
	out := overlay(of.parameters, own)
	if least := out.MinAvailable; least != nil && out.Replicas != nil && least.Type == intstr.Int && least.IntVal >= *out.Replicas {
		return mesh.Parameters{}, ptr(status.Why(status.ReasonInvalidParameters,
			"GatewayParameters of the Gateway and of its class say together that %d of %d proxies must stay, so that no node with one could be drained: raise replicas or lower minAvailable",
			least.IntVal, *out.Replicas))
	}
	return parametersNoun(out), nil
}

// overlay is what the parameters of a Gateway say, and for what they leave out those of its class. Labels and annotations are merged one
// by one. Both may be nil.
func overlay(class, own *v1alpha1.GatewayParametersSpec) v1alpha1.GatewayParametersSpec {
	if class == nil {
		class = &v1alpha1.GatewayParametersSpec{}
	}
	if own == nil {
		own = &v1alpha1.GatewayParametersSpec{}
	}
	out := v1alpha1.GatewayParametersSpec{
		Replicas:     cmp.Or(own.Replicas, class.Replicas),
		Resources:    cmp.Or(own.Resources, class.Resources),
		MinAvailable: cmp.Or(own.MinAvailable, class.MinAvailable),
		NodeSelector: own.NodeSelector,
		Tolerations:  own.Tolerations,
		Service: v1alpha1.GatewayService{
			Type:        cmp.Or(own.Service.Type, class.Service.Type),
			Annotations: merged(class.Service.Annotations, own.Service.Annotations),
			Labels:      merged(class.Service.Labels, own.Service.Labels),
		},
	}
	if out.NodeSelector == nil {
		out.NodeSelector = class.NodeSelector
	}
	if out.Tolerations == nil {
		out.Tolerations = class.Tolerations
	}
	return out
}

// merged is what two maps say together; what over says wins.
func merged(under, over map[string]string) map[string]string {
	if len(under)+len(over) == 0 {
		return nil
	}
	out := make(map[string]string, len(under)+len(over))
	maps.Copy(out, under)
	maps.Copy(out, over)
	return out
}

func parametersNoun(s v1alpha1.GatewayParametersSpec) mesh.Parameters {
	out := mesh.Parameters{
		Replicas: s.Replicas, ServiceType: string(s.Service.Type), ServiceLabels: s.Service.Labels, ServiceAnnotations: s.Service.Annotations,
		NodeSelector: s.NodeSelector,
	}
	if s.MinAvailable != nil {
		out.MinAvailable = s.MinAvailable.String()
	}
	if s.Resources != nil {
		out.Resources = &mesh.Resources{Requests: amounts(s.Resources.Requests), Limits: amounts(s.Resources.Limits)}
	}
	for _, t := range s.Tolerations {
		out.Tolerations = append(out.Tolerations, mesh.Toleration{
			Key: t.Key, Operator: string(t.Operator), Value: t.Value, Effect: string(t.Effect), Seconds: t.TolerationSeconds,
		})
	}
	return out
}

func amounts(list corev1.ResourceList) map[string]string {
	if len(list) == 0 {
		return nil
	}
	out := make(map[string]string, len(list))
	for name, amount := range list {
		out[string(name)] = amount.String()
	}
	return out
}
