package gateways_test

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/api/v1alpha1"
	"github.com/leno-mesh/leno/internal/mesh"
)

var front = mesh.Name{Namespace: "default", Name: "front"}

func testClass(t *testing.T, r *running) {
	eventually(t, "GatewayClass leno", func() string {
		var class gatewayv1.GatewayClass
		if err := r.client.Get(t.Context(), client.ObjectKey{Name: "leno"}, &class); err != nil {
			return err.Error()
		}
		if class.Spec.ControllerName != "mesh.leno.dev/controller" {
			return "of " + string(class.Spec.ControllerName)
		}
		return ""
	})
}

// testMade: everything that a Gateway needs, owned by it.
func testMade(t *testing.T, r *running) {
	g := r.gateway(t, "front", 80, 443)
	r.want(g)
	for _, kind := range kinds {
		object := kind()
		becomes(t, r, front, "object", object, func(o client.Object) bool {
			return ownedBy(o, g.Infrastructure.UID) && o.GetLabels()["team"] == "shop" &&
				o.GetLabels()["gateway.networking.k8s.io/gateway-name"] == "front"
		})
	}
	if n := *get(t, r, front, &appsv1.Deployment{}).Spec.Replicas; n != 1 {
		t.Errorf("%d replicas", n)
	}
	if s := get(t, r, front, &corev1.Service{}); s.Spec.Type != corev1.ServiceTypeLoadBalancer || !number(s, 443) {
		t.Errorf("Service %+v", s.Spec)
	}
}

// testPorts: other ports change the Service and nothing else; a Gateway without ports keeps it, and with it its address.
func testPorts(t *testing.T, r *running) {
	before := get(t, r, front, &appsv1.Deployment{})
	address := get(t, r, front, &corev1.Service{}).Spec.ClusterIP
	next := *r.wants[front]
	next.Ports = []mesh.GatewayPort{{Number: 80}, {Number: 53}, {Number: 53, UDP: true}}
	r.want(&next)
	becomes(t, r, front, "the new ports", &corev1.Service{}, func(s *corev1.Service) bool {
		return number(s, 53) && !number(s, 443) && len(s.Spec.Ports) == 3
	})
	none := next
	none.Ports = nil
	none.Infrastructure.Labels = map[string]string{"team": "other"}
	r.want(&none)
	becomes(t, r, front, "a label", &policyv1.PodDisruptionBudget{}, func(b *policyv1.PodDisruptionBudget) bool { return b.Labels["team"] == "other" })
	if s := get(t, r, front, &corev1.Service{}); s.Spec.ClusterIP != address || len(s.Spec.Ports) != 3 {
		t.Errorf("the Service is another: %+v", s.Spec)
	}
	r.want(&next)
	becomes(t, r, front, "the label of before", &policyv1.PodDisruptionBudget{}, func(b *policyv1.PodDisruptionBudget) bool { return b.Labels["team"] == "shop" })
	if now := get(t, r, front, &appsv1.Deployment{}); now.UID != before.UID {
		t.Error("the Deployment was made anew")
	}
}

func testSettings(t *testing.T, r *running) {
	var settings v1alpha1.Mesh
	if err := r.client.Get(t.Context(), client.ObjectKey{Name: v1alpha1.MeshName}, &settings); err != nil {
		t.Fatal(err)
	}
	settings.Spec.Proxy.Image = "registry.example/leno-proxy:2"
	if err := r.client.Update(t.Context(), &settings); err != nil {
		t.Fatal(err)
	}
	becomes(t, r, front, "the image of the Mesh", &appsv1.Deployment{}, func(d *appsv1.Deployment) bool {
		return d.Spec.Template.Spec.Containers[0].Image == "registry.example/leno-proxy:2"
	})
}

// testDrift: what was said comes back, whether it was changed, taken away or deleted.
func testDrift(t *testing.T, r *running) {
	uid := r.wants[front].Infrastructure.UID
	change(t, r, front, &corev1.Service{}, func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP })
	becomes(t, r, front, "the type", &corev1.Service{}, func(s *corev1.Service) bool { return s.Spec.Type == corev1.ServiceTypeLoadBalancer })
	change(t, r, front, &appsv1.Deployment{}, func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = "other" })
	becomes(t, r, front, "the image", &appsv1.Deployment{}, func(d *appsv1.Deployment) bool {
		return d.Spec.Template.Spec.Containers[0].Image == "registry.example/leno-proxy:2"
	})
	for _, kind := range kinds {
		change(t, r, front, kind(), func(o client.Object) { o.SetLabels(nil) })
		becomes(t, r, front, "labels", kind(), func(o client.Object) bool { return o.GetLabels()[mesh.LabelGatewayName] == "front" })
		change(t, r, front, kind(), func(o client.Object) { o.SetOwnerReferences(nil) })
		becomes(t, r, front, "the owner", kind(), func(o client.Object) bool { return ownedBy(o, uid) })
		object := get(t, r, front, kind())
		if err := r.client.Delete(t.Context(), object); err != nil {
			t.Fatal(err)
		}
		becomes(t, r, front, "what was deleted", kind(), func(o client.Object) bool { return o.GetUID() != object.GetUID() })
	}
}

// testOthersFields: nobody is fought with over fields that are not said.
func testOthersFields(t *testing.T, r *running) {
	change(t, r, front, &corev1.Service{}, func(s *corev1.Service) {
		s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
		s.Annotations = map[string]string{"cloud.example/id": "7"}
	})
	change(t, r, front, &appsv1.Deployment{}, func(d *appsv1.Deployment) { d.Spec.Replicas = new(int32(3)) })
	next := *r.wants[front]
	next.Ports = []mesh.GatewayPort{{Number: 80}}
	next.Infrastructure.Annotations = map[string]string{"said": "yes"}
	r.want(&next)
	becomes(t, r, front, "a new annotation", &corev1.Service{}, func(s *corev1.Service) bool {
		return s.Annotations["said"] == "yes" && len(s.Spec.Ports) == 1
	})
	if s := get(t, r, front, &corev1.Service{}); s.Spec.ExternalTrafficPolicy != corev1.ServiceExternalTrafficPolicyLocal || s.Annotations["cloud.example/id"] != "7" {
		t.Errorf("what others said is lost: %v %+v", s.Annotations, s.Spec)
	}
	if d := get(t, r, front, &appsv1.Deployment{}); *d.Spec.Replicas != 3 {
		t.Errorf("somebody scaled to 3, and there are %d", *d.Spec.Replicas)
	}
}

// testParameters: the number of replicas is said, kept, and left to others with the value that it has.
func testParameters(t *testing.T, r *running) {
	next := *r.wants[front]
	next.Infrastructure.Parameters = mesh.Parameters{Replicas: new(int32(4)), ServiceType: "ClusterIP"}
	r.want(&next)
	becomes(t, r, front, "four replicas", &appsv1.Deployment{}, replicas(4))
	becomes(t, r, front, "the type", &corev1.Service{}, func(s *corev1.Service) bool { return s.Spec.Type == corev1.ServiceTypeClusterIP })
	change(t, r, front, &appsv1.Deployment{}, func(d *appsv1.Deployment) { d.Spec.Replicas = new(int32(1)) })
	becomes(t, r, front, "four replicas again", &appsv1.Deployment{}, replicas(4))
	none := next
	none.Infrastructure.Parameters = mesh.Parameters{NodeSelector: map[string]string{"node": "edge"}}
	r.want(&none)
	becomes(t, r, front, "a node selector", &appsv1.Deployment{}, selects("edge"))
	if d := get(t, r, front, &appsv1.Deployment{}); *d.Spec.Replicas != 4 {
		t.Errorf("the number is left to others, and there are %d proxies instead of 4", *d.Spec.Replicas)
	}
	becomes(t, r, front, "the type of before", &corev1.Service{}, func(s *corev1.Service) bool { return s.Spec.Type == corev1.ServiceTypeLoadBalancer })
}

func selects(node string) func(*appsv1.Deployment) bool {
	return func(d *appsv1.Deployment) bool { return d.Spec.Template.Spec.NodeSelector["node"] == node }
}

// testAutoscaler: it wins over the parameters, from before it scales for the first time to when it is gone.
func testAutoscaler(t *testing.T, r *running) {
	next := *r.wants[front]
	next.Infrastructure.Parameters = mesh.Parameters{Replicas: new(int32(5))}
	r.want(&next)
	becomes(t, r, front, "five replicas", &appsv1.Deployment{}, replicas(5))
	hpa := autoscaler("front-leno")
	r.create(t, hpa)
	becomes(t, r, front, "the number is nobody's", &appsv1.Deployment{}, func(d *appsv1.Deployment) bool {
		for _, entry := range d.ManagedFields {
			if entry.Manager == "leno-gateways" && strings.Contains(entry.FieldsV1.GetRawString(), `"f:replicas"`) {
				return false
			}
		}
		return *d.Spec.Replicas == 5
	})
	scale := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: 7}}
	if err := r.client.SubResource("scale").Update(t.Context(), get(t, r, front, &appsv1.Deployment{}), client.WithSubResourceBody(scale)); err != nil {
		t.Fatal(err)
	}
	more := next
	more.Infrastructure.Parameters.NodeSelector = map[string]string{"node": "other"}
	r.want(&more)
	becomes(t, r, front, "a node selector", &appsv1.Deployment{}, selects("other"))
	if d := get(t, r, front, &appsv1.Deployment{}); *d.Spec.Replicas != 7 {
		t.Errorf("the autoscaler said 7, and there are %d", *d.Spec.Replicas)
	}
	if err := r.client.Delete(t.Context(), hpa); err != nil {
		t.Fatal(err)
	}
	becomes(t, r, front, "the parameters' number", &appsv1.Deployment{}, replicas(5))
}

// testNameTaken: the Service of somebody else is not touched, the rest is made.
func testNameTaken(t *testing.T, r *running) {
	taken := mesh.Name{Namespace: "default", Name: "taken"}
	theirs := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "taken-leno", Labels: map[string]string{"mine": "yes"}},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 1}}},
	}
	r.create(t, theirs)
	r.want(r.gateway(t, "taken", 80))
	r.event(t, taken, "NameTaken", "Service default/taken-leno exists and was not made by Leno")
	get(t, r, taken, &appsv1.Deployment{})
	if now := get(t, r, taken, &corev1.Service{}); now.ResourceVersion != theirs.ResourceVersion {
		t.Errorf("it was changed: %+v", now)
	}
	// The Gateway moves to another controller, and the Service stays theirs.
	r.move(t, taken.Name)
	r.unwant(taken)
	eventually(t, "the Deployment to be removed", func() string {
		if !r.missing(t, taken, &appsv1.Deployment{}) {
			return "still there"
		}
		return ""
	})
	get(t, r, taken, &corev1.Service{})
}

// testAccountTaken: no pods run as an account of somebody else.
func testAccountTaken(t *testing.T, r *running) {
	powerful := mesh.Name{Namespace: "default", Name: "powerful"}
	r.create(t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "powerful-leno"}})
	r.want(r.gateway(t, "powerful", 80))
	r.event(t, powerful, "NameTaken", "ServiceAccount default/powerful-leno")
	if !r.missing(t, powerful, &appsv1.Deployment{}) {
		t.Error("there are pods")
	}
}

func testRefused(t *testing.T, r *running) {
	name := mesh.Name{Namespace: "default", Name: "refused"}
	g := r.gateway(t, "refused", 80)
	bad := *g
	bad.Infrastructure.Parameters = mesh.Parameters{Tolerations: []mesh.Toleration{{Key: "edge", Operator: "Sometimes"}}}
	r.want(&bad)
	r.event(t, name, "Refused", `"Sometimes"`)
	r.want(g)
	becomes(t, r, name, "a Deployment", &appsv1.Deployment{}, func(*appsv1.Deployment) bool { return true })
}

// testOrphan: objects that lost their owner, as "kubectl delete --cascade=orphan" leaves them, are the next Gateway's of that name.
func testOrphan(t *testing.T, r *running) {
	orphan := mesh.Name{Namespace: "default", Name: "orphan"}
	g := r.gateway(t, "orphan", 80)
	r.want(g)
	becomes(t, r, orphan, "a Service", &corev1.Service{}, func(s *corev1.Service) bool { return ownedBy(s, g.Infrastructure.UID) })
	r.unwant(orphan)
	if err := r.client.Delete(t.Context(), &gatewayv1.Gateway{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "orphan"}}); err != nil {
		t.Fatal(err)
	}
	before := get(t, r, orphan, &corev1.Service{})
	again := r.gateway(t, "orphan", 80)
	r.want(again)
	for _, kind := range kinds {
		eventually(t, "the new owner", func() string {
			object := get(t, r, orphan, kind())
			if ownedBy(object, again.Infrastructure.UID) {
				return ""
			}
			// Work on the Gateway of before may have been under way, and may have given it back.
			object.SetOwnerReferences(nil)
			if err := r.client.Update(t.Context(), object); err != nil {
				return err.Error()
			}
			return "orphaned"
		})
	}
	if now := get(t, r, orphan, &corev1.Service{}); now.UID != before.UID {
		t.Error("the Service was made anew")
	}
	r.unwant(orphan)
}

// testEarlier: the objects of a Gateway that was deleted go with it, and the next one of that name gets its own. The test plays the
// garbage collector.
func testEarlier(t *testing.T, r *running) {
	name := mesh.Name{Namespace: "default", Name: "again"}
	g := r.gateway(t, "again", 80)
	r.want(g)
	for _, kind := range kinds {
		becomes(t, r, name, "an object", kind(), func(o client.Object) bool { return ownedBy(o, g.Infrastructure.UID) })
	}
	if err := r.client.Delete(t.Context(), &gatewayv1.Gateway{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "again"}}); err != nil {
		t.Fatal(err)
	}
	next := r.gateway(t, "again", 80)
	r.want(next)
	for _, kind := range kinds {
		object := get(t, r, name, kind())
		if !ownedBy(object, g.Infrastructure.UID) {
			t.Errorf("%T of the earlier Gateway was taken over", object)
		}
		if err := r.client.Delete(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	for _, kind := range kinds {
		becomes(t, r, name, "an object of the new Gateway", kind(), func(o client.Object) bool { return ownedBy(o, next.Infrastructure.UID) })
	}
}

// testOtherClass: a Gateway that is not in effect keeps what it has; one that went to another controller loses it.
func testOtherClass(t *testing.T, r *running) {
	name := mesh.Name{Namespace: "default", Name: "moves"}
	stays := mesh.Name{Namespace: "default", Name: "again"}
	g := r.gateway(t, "moves", 80)
	r.want(g)
	for _, kind := range kinds {
		becomes(t, r, name, "an object", kind(), func(o client.Object) bool { return ownedBy(o, g.Infrastructure.UID) })
	}
	r.move(t, "moves")
	r.unwant(stays) // before the other, so that it was looked at when the other is done
	r.unwant(name)
	for _, kind := range kinds {
		eventually(t, "objects of the Gateway that moved", func() string {
			if !r.missing(t, name, kind()) {
				return "still there"
			}
			return ""
		})
		get(t, r, stays, kind())
	}
	r.event(t, name, "Withdrawn", "example.com/other")
}

func testLongName(t *testing.T, r *running) {
	long := "a." + strings.Repeat("b", 251)
	g := r.gateway(t, long, 80)
	r.want(g)
	for _, kind := range kinds {
		becomes(t, r, g.Name, "an object", kind(), func(o client.Object) bool { return ownedBy(o, g.Infrastructure.UID) })
	}
}

// testNewLeader: a leader that begins finds what its predecessor did not come to. The first provisioner hears nothing of the Gateway's
// new class.
func testNewLeader(t *testing.T, r *running) {
	name := mesh.Name{Namespace: "default", Name: "unheard"}
	g := r.gateway(t, "unheard", 80)
	r.want(g)
	for _, kind := range kinds {
		becomes(t, r, name, "an object", kind(), func(o client.Object) bool { return ownedBy(o, g.Infrastructure.UID) })
	}
	// Nothing is known of it any more: it is not looked at when its objects go.
	held := *g
	held.Infrastructure.Held = true
	r.want(&held)
	r.move(t, "unheard")
	next := start(t, r.server)
	next.want()
	for _, kind := range kinds {
		eventually(t, "objects of the Gateway that moved", func() string {
			if !r.missing(t, name, kind()) {
				return "still there"
			}
			return ""
		})
	}
	get(t, r, front, &corev1.Service{}) // which the new one does not want either, but whose class is Leno's
}
