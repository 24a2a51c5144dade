package snapshot_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/json"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	kjson "sigs.k8s.io/json"

	"github.com/leno-mesh/leno/internal/mesh"
	. "github.com/leno-mesh/leno/internal/snapshot"
)

// route is an HTTPRoute with that spec.
func route(spec string) string {
	return `{"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"namespace": "a", "name": "r", "generation": 3, "new": 1},
		"spec": ` + spec + `, "status": {"parents": [], "new": 1}, "new": 1}`
}

func read(t testing.TB, text string) (*gatewayv1.HTTPRoute, Unknown, error) {
	t.Helper()
	var content map[string]any
	if err := json.Unmarshal([]byte(text), &content); err != nil {
		t.Fatal(err)
	}
	var out gatewayv1.HTTPRoute
	unknown, err := Read(content, &out)
	return &out, unknown, err
}

func TestReadNamesWhatATypeLacks(t *testing.T) {
	many := func(n int, name string) string {
		var fields []string
		for i := range n {
			fields = append(fields, fmt.Sprintf(`"%s%d": {"deep": 1}`, name, i))
		}
		return "{" + strings.Join(fields, ",") + "}"
	}
	for what, tc := range map[string]struct {
		spec string
		want Unknown
	}{
		"nothing":            {`{"hostnames": ["a"], "rules": [{"timeouts": {"request": "1s"}}]}`, Unknown{}},
		"a field":            {`{"new": null}`, Unknown{Fields: []string{"spec.new"}}},
		"in lists":           {`{"rules": [{}, {"filters": [{"type": "X", "new": [1]}]}]}`, Unknown{Fields: []string{"spec.rules[1].filters[0].new"}}},
		"in embedded types":  {`{"parentRefs": [{"name": "a", "new": 1}], "rules": [{"backendRefs": [{"name": "b", "new": {}}]}]}`, Unknown{Fields: []string{"spec.parentRefs[0].new", "spec.rules[0].backendRefs[0].new"}}},
		"in another case":    {`{"Hostnames": ["a"]}`, Unknown{Fields: []string{"spec.Hostnames"}}},
		"many":               {many(8, "x"), Unknown{Fields: []string{"spec.x0", "spec.x1", "spec.x2", "spec.x3", "spec.x4"}, More: 3}},
		"long":               {many(1, strings.Repeat("é", 200)), Unknown{Fields: []string{"spec." + strings.Repeat("é", 57) + "…"}}},
		"with odd names":     {`{"a\"b": 1, "": 1}`, Unknown{Fields: []string{"spec.", `spec.a"b`}}},
		"a value of no type": {`{"rules": [{"matches": [{"path": {"type": "New", "value": "/"}}]}]}`, Unknown{}},
	} {
		got, unknown, err := read(t, route(tc.spec))
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if diff := cmp.Diff(tc.want, unknown); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
		if got.Namespace != "a" || got.Generation != 3 {
			t.Errorf("%s: the rest of the object is lost: %+v", what, got.ObjectMeta)
		}
	}
	for _, spec := range []string{`{"hostnames": "a"}`, `{"hostnames": [1]}`, `{"rules": {"new": 1}}`, `[]`, `{"rules": [{"backendRefs": [{"port": "http"}]}]}`} {
		if _, _, err := read(t, route(spec)); err == nil {
			t.Errorf("%s was read, and its type has no place for that", spec)
		}
	}
}

func TestUnknownIsInStepWithItsObject(t *testing.T) {
	object, _, err := read(t, route(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	with := func(fields ...string) Event {
		e := Upsert(object)
		e.Unknown = Unknown{Fields: fields}
		return e
	}
	ref := with().Ref
	start := (&Snapshot{}).With([]Event{with("spec.a")})
	if got := start.Unknown[ref].Fields; !slices.Equal(got, []string{"spec.a"}) {
		t.Fatalf("unknown are %v", got)
	}
	if start.With([]Event{with("spec.a")}) != start {
		t.Error("the same again makes a new snapshot")
	}
	for what, event := range map[string]Event{"fewer": with(), "others": with("spec.b"), "gone": Delete(KindHTTPRoute, mesh.Name{Namespace: "a", Name: "r"})} {
		next := start.With([]Event{event})
		if !next.Changes().Kinds[KindHTTPRoute] || next.Equal(start) || next.Unknown[ref].Any() != (what == "others") {
			t.Errorf("%s: changes %v, unknown %v", what, next.Changes(), next.Unknown)
		}
		if !start.Unknown[ref].Any() || start.Unknown[ref].Fields[0] != "spec.a" {
			t.Fatalf("%s: With changed the snapshot it was called on", what)
		}
	}
}

// FuzzReadUnknown: an object that the API's own strict decoder takes is read as just that; of one that it does not take something is
// unknown, outside of the spec perhaps, or wrong.
func FuzzReadUnknown(f *testing.F) {
	for _, spec := range []string{`{}`, `{"new": 1}`, `{"rules": [{"filters": [{"type": "CORS", "cors": {"allowCredentials": true, "new": []}}]}]}`, `{"parentRefs": [{"name": "a", "port": 80.0}]}`} {
		f.Add([]byte(route(spec)))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var content map[string]any
		if err := json.Unmarshal(text, &content); err != nil {
			return
		}
		var got, want gatewayv1.HTTPRoute
		unknown, err := Read(runtime.DeepCopyJSON(content), &got)
		for _, path := range unknown.Fields {
			if !strings.HasPrefix(path, "spec.") || len(path) > 150 || utf8.Valid(text) && !utf8.ValidString(path) {
				t.Fatalf("unknown is %q", path)
			}
		}
		if len(unknown.Fields) > 5 || unknown.More < 0 || unknown.More > bytes.Count(text, []byte(":")) {
			t.Fatalf("%d unknown and %d more", len(unknown.Fields), unknown.More)
		}
		strict, wrong := kjson.UnmarshalStrict(text, &want)
		if wrong != nil || len(strict) > 0 {
			return
		}
		if err != nil || unknown.Any() {
			t.Fatalf("read %v, %v of what the strict decoder takes: %s", unknown, err, text)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("read otherwise than the strict decoder does (-strict +got):\n%s", diff)
		}
	})
}
