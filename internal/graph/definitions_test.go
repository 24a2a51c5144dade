package graph_test

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/snapshot"
	"github.com/leno-mesh/leno/internal/status"
)

// A class claims what the cluster's definitions have fields for.
func TestFeaturesFitTheDefinitions(t *testing.T) {
	class := &gatewayv1.GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: "leno"}, Spec: gatewayv1.GatewayClassSpec{ControllerName: status.ControllerName}}
	for name, tc := range map[string]struct {
		annotations map[string]string
		known       bool // SupportedVersion
		want        status.Definitions
	}{
		"standard":          {map[string]string{"gateway.networking.k8s.io/bundle-version": "v1.7.0", "gateway.networking.k8s.io/channel": "standard"}, true, status.Definitions{Minor: 7}},
		"experimental":      {map[string]string{"gateway.networking.k8s.io/bundle-version": "v1.7.0", "gateway.networking.k8s.io/channel": "experimental"}, true, status.Definitions{Minor: 7, Experimental: true}},
		"older":             {map[string]string{"gateway.networking.k8s.io/bundle-version": "v1.4.1", "gateway.networking.k8s.io/channel": "standard"}, true, status.Definitions{Minor: 4}},
		"release candidate": {map[string]string{"gateway.networking.k8s.io/bundle-version": "v1.7.0-rc.1", "gateway.networking.k8s.io/channel": "experimental"}, true, status.Definitions{Minor: 7, Experimental: true}},
		"newer":             {map[string]string{"gateway.networking.k8s.io/bundle-version": "v1.8.0"}, false, status.Definitions{Minor: 8}},
		"no version":        {nil, false, status.Definitions{}},
		"strange version":   {map[string]string{"gateway.networking.k8s.io/bundle-version": "monthly-2026.10"}, false, status.Definitions{}},
	} {
		t.Run(name, func(t *testing.T) {
			definition := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: snapshot.GatewayClassDefinition, Annotations: tc.annotations}}
			wants := build([]snapshot.Event{snapshot.Upsert(class), snapshot.Upsert(definition)}).Status
			if len(wants) != 1 {
				t.Fatalf("%+v", wants)
			}
			if !slices.Equal(wants[0].Features, status.GatewayFeatures(tc.want)) {
				t.Errorf("claimed: %q", wants[0].Features)
			}
			known := slices.ContainsFunc(wants[0].Conditions, func(c status.Condition) bool { return c.Type == status.TypeSupportedVersion && c.Status })
			if known != tc.known {
				t.Errorf("%+v", wants[0].Conditions)
			}
		})
	}
}
