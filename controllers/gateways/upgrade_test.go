package gateways_test

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/leno-mesh/leno/internal/mesh"
)

// testUpgrade: a Deployment of an earlier version of Leno, whose selector nobody can change, is brought up to date and not made again.
func testUpgrade(t *testing.T, r *running) {
	old := mesh.Name{Namespace: "default", Name: "old"}
	g := r.gateway(t, "old", 80)
	selector := map[string]string{"gateway.networking.k8s.io/gateway-name": "old"}
	labels := map[string]string{
		"gateway.networking.k8s.io/gateway-name": "old", "app.kubernetes.io/name": "leno-gateway", "app.kubernetes.io/managed-by": "leno",
	}
	earlier := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "old-leno", Labels: labels, OwnerReferences: []metav1.OwnerReference{{
			APIVersion: "gateway.networking.k8s.io/v1", Kind: "Gateway", Name: "old", UID: types.UID(g.Infrastructure.UID), Controller: new(true),
		}}},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(2)), Selector: &metav1.LabelSelector{MatchLabels: selector},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: mesh.ProxyContainer, Image: "leno-proxy:0.0.1"}}},
			},
		},
	}
	r.create(t, earlier)
	r.want(g)
	becomes(t, r, old, "the image of this version", &appsv1.Deployment{}, func(d *appsv1.Deployment) bool {
		c := d.Spec.Template.Spec.Containers
		return d.UID == earlier.UID && *d.Spec.Replicas == 2 && len(c) == 1 && c[0].Image != "leno-proxy:0.0.1"
	})
	// Pods of before the upgrade serve until those of after it do.
	becomes(t, r, old, "a Service", &corev1.Service{}, func(s *corev1.Service) bool {
		for key, value := range s.Spec.Selector {
			if labels[key] != value {
				return false
			}
		}
		return len(s.Spec.Selector) > 0
	})
	r.unwant(old)
}
