package graph

import (
	"slices"

	"github.com/leno-mesh/leno/internal/snapshot"
	"github.com/leno-mesh/leno/internal/status"
)

// tellUnknown adds to the status of objects that they have fields which Leno does not know, wherever their other conditions are. The
// objects are in effect without those fields: what they mean nobody here can tell.
func tellUnknown(wants []status.Want, unknown map[snapshot.Ref]snapshot.Unknown) {
	if len(unknown) == 0 {
		return
	}
	for i := range wants {
		w := &wants[i]
		fields := unknown[snapshot.Ref{Kind: snapshot.Kind(w.Kind), Name: w.Name}]
		if !fields.Any() {
			continue
		}
		c := status.UnknownFields(fields.Fields, fields.More)
		for j := range w.Parents {
			w.Parents[j].Conditions = append(slices.Clip(w.Parents[j].Conditions), c)
		}
		if len(w.Conditions) > 0 {
			w.Conditions = append(slices.Clip(w.Conditions), c)
		}
	}
}
