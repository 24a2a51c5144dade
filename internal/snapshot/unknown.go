package snapshot

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/runtime"
)

// maxUnknown is how many fields are named, and maxUnknownPath how many bytes of each: enough to find them, and little to keep when a
// definition lets everything pass.
const (
	maxUnknown     = 5
	maxUnknownPath = 120
)

// Unknown names the fields of an object's spec that its type does not have: the cluster's definitions are newer than the types.
type Unknown struct {
	// Fields are the first paths, "spec.rules[0].filters[1].new", sorted.
	Fields []string
	// More is how many there are beyond those.
	More int
}

// Any tells whether there are some.
func (u Unknown) Any() bool { return len(u.Fields) > 0 }

// Read puts an object, as an API server hands it out, into its type, and names what the type has no place for. Only the spec is what
// somebody wants of Leno: status and metadata are not looked at. An error means that what the type does have does not fit.
func Read(content map[string]any, into Object) (Unknown, error) {
	err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(content, into, true)
	if err == nil {
		return Unknown{}, nil
	}
	strict, ok := runtime.AsStrictDecodingError(err)
	if !ok {
		return Unknown{}, err
	}
	var paths []string
	for _, e := range strict.Errors() {
		path := strings.TrimSuffix(strings.TrimPrefix(e.Error(), `unknown field "`), `"`)
		if strings.HasPrefix(path, "spec.") {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	named := min(len(paths), maxUnknown)
	out := Unknown{More: len(paths) - named}
	for _, path := range paths[:named] {
		out.Fields = append(out.Fields, clip(path))
	}
	return out, nil
}

// clip cuts a path that is too long, and not within a character.
func clip(path string) string {
	if len(path) <= maxUnknownPath {
		return strings.Clone(path) // not a part of something longer that would be kept
	}
	end := maxUnknownPath
	for !utf8.RuneStart(path[end]) {
		end--
	}
	return path[:end] + "…"
}

// putUnknown keeps what is unknown of an object in step with it.
func (d *draft) putUnknown(e Event) {
	n := d.next
	old, had := n.Unknown[e.Ref]
	has := e.Object != nil && e.Unknown.Any()
	if !had && !has || had && has && reflect.DeepEqual(old, e.Unknown) {
		return
	}
	if !d.ownedUnknown {
		d.ownedUnknown = true
		n.Unknown = maps.Clone(n.Unknown)
		if n.Unknown == nil {
			n.Unknown = map[Ref]Unknown{}
		}
	}
	if has {
		n.Unknown[e.Ref] = e.Unknown
	} else {
		delete(n.Unknown, e.Ref)
	}
	n.changes.Kinds[e.Ref.Kind] = true
}
