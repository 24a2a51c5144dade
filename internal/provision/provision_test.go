package provision_test

import (
	"bytes"
	"net/netip"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/leno-mesh/leno/internal/inject"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/provision"
	"github.com/leno-mesh/leno/test/golden"
)

func gateway() *mesh.Gateway {
	return &mesh.Gateway{
		Name: mesh.Name{Namespace: "shop", Name: "public"}, ServiceAccount: "public-leno",
		Ports:          []mesh.GatewayPort{{Number: 80}, {Number: 443}, {Number: 53, UDP: true}},
		Infrastructure: mesh.Infrastructure{UID: "42", Class: "leno"},
	}
}

// TestObjects compares what is made with what is known to be right.
func TestObjects(t *testing.T) {
	want := golden.Dir{Root: "testdata"}
	for name, change := range map[string]func(*mesh.Infrastructure){
		"plain":        func(*mesh.Infrastructure) {},
		"cluster-only": func(i *mesh.Infrastructure) { i.ClusterOnly = true },
		"address":      func(i *mesh.Infrastructure) { i.Addresses = []netip.Addr{netip.MustParseAddr("192.0.2.1")} },
		"cluster-address": func(i *mesh.Infrastructure) {
			i.ClusterAddresses = []netip.Addr{netip.MustParseAddr("10.96.0.7"), netip.MustParseAddr("fd00::7")}
		},
		// What makes things the Gateway's cannot be taken over by its owner's labels.
		"labels": func(i *mesh.Infrastructure) {
			i.Labels = map[string]string{
				"team": "shop", mesh.LabelGatewayName: "other", mesh.LabelInject: inject.Enabled, "app.kubernetes.io/managed-by": "me",
			}
			i.Annotations = map[string]string{"team/pager": "1", mesh.AnnotationGateway: "other"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := gateway()
			change(&g.Infrastructure)
			var out bytes.Buffer
			for _, object := range provision.Objects(g, inject.FromMesh(nil)) {
				text, err := yaml.Marshal(object)
				if err != nil {
					t.Fatal(err)
				}
				out.WriteString("---\n")
				out.Write(text)
			}
			want.Check(t, name+".yaml", out.Bytes())
		})
	}
}

// The pods of gateways run where Pod Security "restricted" is enforced.
func TestPodsAreRestricted(t *testing.T) {
	for _, object := range provision.Objects(gateway(), inject.FromMesh(nil)) {
		deployment, ok := object.(*appsv1.Deployment)
		if !ok {
			continue
		}
		pod := deployment.Spec.Template.Spec
		if pod.HostNetwork || pod.HostPID || pod.HostIPC || *pod.AutomountServiceAccountToken {
			t.Error("the pod reaches beyond itself")
		}
		for _, v := range pod.Volumes {
			if v.HostPath != nil {
				t.Errorf("volume %s is the node's", v.Name)
			}
		}
		for _, c := range pod.Containers {
			s := c.SecurityContext
			if !*s.RunAsNonRoot || !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation ||
				len(s.Capabilities.Add) > 0 || s.Capabilities.Drop[0] != "ALL" || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
				t.Errorf("container %s has privileges: %+v", c.Name, s)
			}
		}
		return
	}
	t.Error("there is no Deployment")
}

// While a Gateway has no ports it has no Service, as one without ports cannot be.
func TestNoPorts(t *testing.T) {
	g := gateway()
	g.Ports = nil
	for _, object := range provision.Objects(g, inject.FromMesh(nil)) {
		if _, is := object.(*corev1.Service); is {
			t.Error("a Service without ports")
		}
	}
}
