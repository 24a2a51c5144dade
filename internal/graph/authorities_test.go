package graph_test

import (
	"slices"
	"strings"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/snapshot"
	"github.com/leno-mesh/leno/internal/status"
	"github.com/leno-mesh/leno/test/fixture"
)

// condition finds one of a policy, towards its only Gateway.
func condition(t *testing.T, wants []status.Want, policy mesh.Name, kind string) status.Condition {
	t.Helper()
	for _, w := range wants {
		if w.Kind != "BackendTLSPolicy" || w.Name != policy {
			continue
		}
		for _, c := range w.Parents[0].Conditions {
			if c.Type == kind {
				return c
			}
		}
	}
	t.Fatalf("BackendTLSPolicy %s has no condition %s", policy, kind)
	return status.Condition{}
}

var trusting = mesh.Name{Namespace: "gateway-conformance-infra", Name: "good"}

// A cluster of before Kubernetes 1.37 has no ClusterTrustBundles: that is another mistake than to name one that is not there.
func TestTrustBundlesAreNotServed(t *testing.T) {
	events, _ := fixture.Case(t, casesRoot, "cluster-trust-bundle")
	definition := func(name string) snapshot.Event {
		return snapshot.Upsert(&metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{
			"gateway.networking.k8s.io/bundle-version": "v1.7.0", "gateway.networking.k8s.io/channel": "experimental",
		}}})
	}
	claims := func(wants []status.Want) bool {
		return slices.ContainsFunc(wants, func(w status.Want) bool { return slices.Contains(w.Features, "ClusterTrustBundle") })
	}
	events = append(events, definition(snapshot.GatewayClassDefinition))
	wants := build(events).Status
	if c := condition(t, wants, trusting, status.TypeResolvedRefs); c.Status || c.Reason != status.ReasonInvalidKind {
		t.Errorf("%+v", c)
	}
	if c := condition(t, wants, trusting, status.TypeAccepted); c.Status || c.Reason != status.ReasonNoValidCACertificate {
		t.Errorf("%+v", c)
	}
	if claims(wants) {
		t.Error("the feature is claimed")
	}
	wants = build(append(events, definition(snapshot.TrustBundleDefinition))).Status
	if c := condition(t, wants, trusting, status.TypeAccepted); !c.Status {
		t.Errorf("%+v", c)
	}
	if !claims(wants) {
		t.Error("the feature is not claimed")
	}
}

// Of more authorities than one object may name the first ones count.
func TestAuthoritiesAreBounded(t *testing.T) {
	events, _ := fixture.Case(t, casesRoot, "cluster-trust-bundle")
	for i := range events {
		switch o := events[i].Object.(type) {
		case *certificatesv1.ClusterTrustBundle:
			if o.Name == "example.com:inner:v1" {
				one := o.Spec.TrustBundle + "\n"
				o.Spec.TrustBundle = strings.Repeat(one, 600<<10/len(one))
			}
		case *gatewayv1.BackendTLSPolicy:
			if o.Name == trusting.Name {
				refs := &o.Spec.Validation.CACertificateRefs
				*refs = append(*refs, (*refs)[0])
			}
		}
	}
	result := build(events)
	if c := condition(t, result.Status, trusting, status.TypeResolvedRefs); c.Status || !strings.Contains(c.Message, "all authorities together are more than 1048576 bytes") {
		t.Errorf("%+v", c)
	}
	if c := condition(t, result.Status, trusting, status.TypeAccepted); !c.Status {
		t.Errorf("%+v", c)
	}
	if n := len(result.Mesh.Services[trusting].Ports[0].TLS.Roots); n < 500<<10 || n > 1<<20 {
		t.Errorf("%d bytes of authorities", n)
	}
}
