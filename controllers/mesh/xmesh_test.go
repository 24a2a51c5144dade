package mesh

import (
	"slices"
	"testing"

	gatewayfeatures "sigs.k8s.io/gateway-api/pkg/features"
)

// A cluster that serves XMesh has the fields of everything in the standard channel; what an XMesh claims needs no more, and is on the
// suite's list.
func TestMeshFeaturesNeedNoOtherChannel(t *testing.T) {
	if !slices.IsSorted(SupportedFeatures) {
		t.Error("not sorted, as the API wants it")
	}
	for _, name := range SupportedFeatures {
		if f := gatewayfeatures.GetFeature(gatewayfeatures.FeatureName(name)); f.Channel != gatewayfeatures.FeatureChannelStandard {
			t.Errorf("%s: the suite has it in channel %q", name, f.Channel)
		}
	}
}
