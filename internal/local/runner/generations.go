package runner

import (
	"bytes"

	"github.com/leno-mesh/leno/api/v1alpha1"
	"github.com/leno-mesh/leno/internal/local"
	"github.com/leno-mesh/leno/internal/local/manifest"
)

// Item and Loaded are what was read from manifests.
type (
	Item   = manifest.Item
	Loaded = manifest.Result
)

// generations numbers the versions of each object, as an API server does.
type generations map[string]version

type version struct {
	number int64
	text   []byte
}

// next sets the generation of each object: one higher than before when its text changed.
func (g *generations) next(items []Item) []local.Object {
	after := generations{}
	objects := make([]local.Object, 0, len(items))
	for _, item := range items {
		key := item.Object.GetObjectKind().GroupVersionKind().Kind + " " + item.Object.GetNamespace() + "/" + item.Object.GetName()
		v := (*g)[key]
		if !bytes.Equal(v.text, item.Text) {
			v = version{number: v.number + 1, text: item.Text}
		}
		after[key] = v
		item.Object.SetGeneration(v.number)
		objects = append(objects, item.Object)
	}
	*g = after
	return objects
}

func trustDomain(item Item) string {
	if m, ok := item.Object.(*v1alpha1.Mesh); ok {
		return m.Spec.TrustDomain
	}
	return ""
}
