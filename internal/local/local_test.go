package local_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/leno-mesh/leno/internal/local"
	"github.com/leno-mesh/leno/internal/local/manifest"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/snapshot"
	"github.com/leno-mesh/leno/test/golden"
)

// shop reads the sample manifests.
func shop(t *testing.T) []local.Object {
	t.Helper()
	var objects []local.Object
	for _, file := range golden.Files(t, "../../config/samples/shop/*.yaml") {
		for _, item := range manifest.Read(file, golden.Read(t, file)).Items {
			objects = append(objects, item.Object)
		}
	}
	return objects
}

func running(p *local.Plan, phase local.Phase) []local.Running {
	var out []local.Running
	for _, pod := range p.Pods {
		out = append(out, local.Running{Pod: pod, Phase: phase})
	}
	return out
}

func find[T local.Object](t *testing.T, objects []local.Object, name string) T {
	t.Helper()
	for _, obj := range objects {
		if found, ok := obj.(T); ok && obj.GetName() == name {
			return found
		}
	}
	t.Fatalf("no %T %s", *new(T), name)
	return *new(T)
}

func TestShop(t *testing.T) {
	objects := shop(t)
	p := local.New(objects, local.Options{LowestPort: 1024})
	var owners []string
	for _, pod := range p.Pods {
		owners = append(owners, pod.Owner)
	}
	slices.Sort(owners)
	if got := strings.Join(owners, " "); got != " cart cart catalog-v1 catalog-v1 catalog-v2 frontend frontend load" {
		t.Errorf("pods of %q", got)
	}
	if len(p.Notes) > 0 {
		t.Errorf("notes %q", p.Notes)
	}
	slices.Reverse(objects)
	again := local.New(objects, local.Options{LowestPort: 1024})
	if len(local.Diff(p.Objects(running(p, local.Ready)), again.Objects(running(again, local.Ready)))) > 0 {
		t.Error("the order of the manifests makes a difference")
	}
	for _, pod := range p.Pods {
		switch {
		case pod.Name.Name == local.You:
			if pod.Aliases[0].Listen.Addr() != pod.Aliases[0].Original.Addr() || pod.Aliases[0].Listen.Port() != 8080 || pod.Aliases[0].Original.Port() != 80 {
				t.Errorf("you listen on %+v", pod.Aliases[0])
			}
		case pod.Owner == "cart":
			if got := pod.Ports; len(got) != 1 || got[0] != 8080 {
				t.Errorf("cart receives on %v", got)
			}
			env := strings.Join(pod.Env, "\n")
			for _, want := range []string{"CATALOG_SERVICE_PORT=8080", "CATALOG_V2_SERVICE_HOST=127.", "HOST=127.245.", "PORT=8080", "SERVICE=cart", "POD_NAME=cart-"} {
				if !strings.Contains(env, want) {
					t.Errorf("cart's environment has no %s:\n%s", want, env)
				}
			}
		}
	}
}

func TestEndpointsFollowPhases(t *testing.T) {
	p := local.New(shop(t), local.Options{})
	pods := running(p, local.Ready)
	for i := range pods {
		if pods[i].Pod.Owner == "catalog-v2" {
			pods[i].Phase = local.Terminating
		}
	}
	objects := p.Objects(pods)
	slice := find[*discoveryv1.EndpointSlice](t, objects, "catalog-0")
	ready, terminating := 0, 0
	for _, e := range slice.Endpoints {
		if *e.Conditions.Ready {
			ready++
		}
		if *e.Conditions.Terminating && *e.Conditions.Serving {
			terminating++
		}
	}
	if ready != 2 || terminating != 1 || *slice.Ports[0].Port != 8080 {
		t.Errorf("%d ready, %d terminating, port %d", ready, terminating, *slice.Ports[0].Port)
	}
	service := find[*corev1.Service](t, objects, "catalog")
	if address := netip.MustParseAddr(service.Spec.ClusterIP); !address.IsLoopback() {
		t.Errorf("catalog has address %s", address)
	}
	events := local.Diff(p.Objects(running(p, local.Ready)), objects)
	for _, e := range events {
		if e.Ref.Kind != snapshot.KindEndpointSlice {
			t.Errorf("a terminating pod changes %v", e.Ref)
		}
	}
	if len(events) != 2 { // of catalog and of catalog-v2
		t.Errorf("%d events", len(events))
	}
}

// TestTemplateChange: a changed template gives other pods; the same template keeps them, whatever else changes.
func TestTemplateChange(t *testing.T) {
	objects := shop(t)
	before := local.New(objects, local.Options{})
	replicas := int32(3)
	for _, obj := range objects {
		if d, ok := obj.(*appsv1.Deployment); ok && d.Name == "cart" {
			d.Spec.Replicas = &replicas
		}
		if d, ok := obj.(*appsv1.Deployment); ok && d.Name == "catalog-v2" {
			d.Spec.Template.Spec.Containers[0].Env[0].Value = "other"
		}
	}
	kept, others := 0, 0
	for _, pod := range local.New(objects, local.Options{}).Pods {
		if old := before.Pod(pod.Name); old != nil && old.IP == pod.IP {
			kept++
		} else {
			others++
		}
	}
	if kept != 8 || others != 2 {
		t.Errorf("%d pods kept, %d others; want 8 and 2", kept, others)
	}
}

func TestNotRun(t *testing.T) {
	d := &appsv1.Deployment{}
	d.Name, d.Namespace = "web", "default"
	p := local.New([]local.Object{d}, local.Options{})
	if len(p.Pods) != 0 || len(p.Notes) != 1 || !strings.Contains(p.Notes[0], local.RunAnnotation) {
		t.Errorf("pods %v, notes %q", p.Pods, p.Notes)
	}
	if p.Pod(mesh.Name{Namespace: "default", Name: "web"}) != nil {
		t.Error("found a pod that is not planned")
	}
}
