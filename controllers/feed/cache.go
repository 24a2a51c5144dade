package feed

import (
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	ctrlcache "sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leno-mesh/leno/internal/snapshot"
)

// ByObject is how the manager's cache holds the kinds that come in numbers: without what nobody reads, and handed out
// without copying, because the snapshot shares them and nobody changes them.
func ByObject() map[client.Object]ctrlcache.ByObject {
	lean := func(strip cache.TransformFunc) ctrlcache.ByObject {
		return ctrlcache.ByObject{Transform: strip, UnsafeDisableDeepCopy: new(true)}
	}
	return map[client.Object]ctrlcache.ByObject{
		&corev1.Pod{}:                lean(Strip),
		&corev1.Node{}:               lean(Strip),
		&corev1.Service{}:            lean(Strip),
		&corev1.Namespace{}:          lean(Strip),
		&corev1.ServiceAccount{}:     lean(Strip),
		&discoveryv1.EndpointSlice{}: lean(Strip),
		definition():                 {Field: fields.OneTermEqualSelector("metadata.name", snapshot.GatewayClassDefinition)},
	}
}

// keyAuthority is what is read of ConfigMaps.
const keyAuthority = "ca.crt"

// Material is a cache for what Gateways may refer to: Secrets with certificates, and authorities in ConfigMaps and ClusterTrustBundles. The manager's own cache
// holds the operator's Secrets only. Nothing else of them is kept: not the other keys, and no Secret of another type.
func Material(rc *rest.Config, mapper meta.RESTMapper, scheme *runtime.Scheme) (ctrlcache.Cache, error) {
	return ctrlcache.New(rc, ctrlcache.Options{Scheme: scheme, Mapper: mapper, ByObject: map[client.Object]ctrlcache.ByObject{
		&corev1.Secret{}: {
			Field: fields.OneTermEqualSelector("type", string(corev1.SecretTypeTLS)), Transform: Strip, UnsafeDisableDeepCopy: new(true),
		},
		&corev1.ConfigMap{}:                  {Transform: Strip, UnsafeDisableDeepCopy: new(true)},
		&certificatesv1.ClusterTrustBundle{}: {Transform: Strip, UnsafeDisableDeepCopy: new(true)},
	}})
}

// only keeps some keys.
func only[V any](data map[string]V, keys ...string) map[string]V {
	var kept map[string]V
	for _, key := range keys {
		if value, ok := data[key]; ok {
			if kept == nil {
				kept = map[string]V{}
			}
			kept[key] = value
		}
	}
	return kept
}

// Strip drops from an object what the mesh does not read. It is a cache transform: the object is still nobody else's.
func Strip(obj any) (any, error) {
	if o, ok := obj.(metav1.Object); ok {
		o.SetManagedFields(nil)
		o.SetAnnotations(ours(o.GetAnnotations()))
	}
	switch o := obj.(type) {
	case *corev1.Pod:
		o.Finalizers = nil
		o.Spec = leanPodSpec(o.Spec)
		o.Status = corev1.PodStatus{Phase: o.Status.Phase, PodIP: o.Status.PodIP, PodIPs: o.Status.PodIPs}
	case *corev1.Node:
		o.Spec, o.Status = corev1.NodeSpec{}, corev1.NodeStatus{}
	case *corev1.Secret:
		o.Data = only(o.Data, corev1.TLSCertKey, corev1.TLSPrivateKeyKey, keyAuthority)
	case *corev1.ConfigMap:
		o.Data, o.BinaryData = only(o.Data, keyAuthority), nil
	case *corev1.ServiceAccount:
		o.Secrets, o.ImagePullSecrets = nil, nil
	}
	return obj, nil
}

// ours keeps the annotations of the mesh.
func ours(all map[string]string) map[string]string {
	var kept map[string]string
	for k, v := range all {
		if strings.HasPrefix(k, "mesh.leno.dev/") {
			if kept == nil {
				kept = map[string]string{}
			}
			kept[k] = v
		}
	}
	return kept
}

func leanPodSpec(s corev1.PodSpec) corev1.PodSpec {
	return corev1.PodSpec{
		NodeName:           s.NodeName,
		ServiceAccountName: s.ServiceAccountName,
		HostNetwork:        s.HostNetwork,
		InitContainers:     leanContainers(s.InitContainers),
		Containers:         leanContainers(s.Containers),
	}
}

func leanContainers(all []corev1.Container) []corev1.Container {
	out := make([]corev1.Container, 0, len(all))
	for _, c := range all {
		out = append(out, corev1.Container{Name: c.Name, Ports: c.Ports, RestartPolicy: c.RestartPolicy})
	}
	return out
}
