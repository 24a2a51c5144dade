package graph

import (
	"cmp"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/snapshot"
	"github.com/leno-mesh/leno/internal/status"
)

// Annotations by which the definitions of the Gateway API tell where they come from.
const (
	annotationBundleVersion = "gateway.networking.k8s.io/bundle-version"
	annotationChannel       = "gateway.networking.k8s.io/channel"
)

// The minor versions of the Gateway API, v1.x, with which Leno works. Kinds that one of them lacks are left out.
const (
	oldestMinor = 2
	newestMinor = 7
)

// definitionIn is the one definition that tells of all; nil: objects come from files.
func definitionIn(s *snapshot.Snapshot) *metav1.PartialObjectMetadata {
	return s.Definitions[mesh.Name{Name: snapshot.GatewayClassDefinition}]
}

// definitionsOf tells which definitions a cluster has by one of them. Without any (objects that come from files) there is everything
// that Leno knows; what does not say where it comes from is taken for the least.
func definitionsOf(s *snapshot.Snapshot) status.Definitions {
	out := status.Definitions{Minor: newestMinor, Experimental: true, TrustBundles: s.Serves(snapshot.TrustBundleDefinition)}
	if definition := definitionIn(s); definition != nil {
		out.Minor, _ = minorOf(definition)
		out.Experimental = definition.Annotations[annotationChannel] == "experimental"
	}
	return out
}

// minorOf is the minor version; false if it is no v1, or not said.
func minorOf(definition *metav1.PartialObjectMetadata) (int, bool) {
	parts := strings.SplitN(definition.Annotations[annotationBundleVersion], ".", 3)
	if len(parts) != 3 || parts[0] != "v1" {
		return 0, false
	}
	n, err := strconv.Atoi(parts[1])
	return n, err == nil
}

// supportedVersion tells whether the definitions that the cluster has are those of a version that works.
func supportedVersion(definition *metav1.PartialObjectMetadata) status.Condition {
	bundle, channel := definition.Annotations[annotationBundleVersion], definition.Annotations[annotationChannel]
	if minor, ok := minorOf(definition); ok && oldestMinor <= minor && minor <= newestMinor {
		return status.True(status.TypeSupportedVersion, status.ReasonSupportedVersion, "the cluster has the Gateway API %s, channel %s", bundle, cmp.Or(channel, "unknown"))
	}
	return status.False(status.TypeSupportedVersion, status.ReasonUnsupportedVersion,
		"the cluster has the Gateway API %s, and Leno knows v1.%d to v1.%d: what they have in common works", cmp.Or(bundle, "without a version"), oldestMinor, newestMinor)
}
