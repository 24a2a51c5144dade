// Package manifest reads YAML manifests into what a Snapshot is made of, and says where in the text a mistake is.
package manifest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/leno-mesh/leno/api/v1alpha1"
	"github.com/leno-mesh/leno/internal/snapshot"
)

// DefaultNamespace is where namespaced objects go that name none.
const DefaultNamespace = "default"

// Document is one object of a manifest.
type Document struct {
	File string
	// Index counts the documents of the file from 1, Line is its first line in the file, also from 1.
	Index, Line int
	Type        metav1.TypeMeta
	Namespace   string // as written
	Name        string

	text []byte
	json []byte
}

// Manifest is what some files hold, in their order.
type Manifest struct {
	// Events of the objects that a Snapshot holds.
	Events []snapshot.Event
	// Sources says where each of them was written.
	Sources map[snapshot.Ref]Document
	// Skipped are the objects of other kinds. Decode reads them.
	Skipped []Document
}

// Error is a mistake in a manifest.
type Error struct {
	File string
	// Document counts from 1; Line is in the file, from 1, and 0 where it is not known.
	Document, Line int
	// Object is "Kind namespace/name" as far as it can be read.
	Object string
	// Field is the path of the field, like "spec.rules[0].name"; "" where it is not known.
	Field   string
	Message string
}

// Error is "file:line: document N (object): field: message".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	fmt.Fprintf(&b, ": document %d", e.Document)
	if e.Object != "" {
		fmt.Fprintf(&b, " (%s)", e.Object)
	}
	if e.Field != "" {
		fmt.Fprintf(&b, ": %s", e.Field)
	}
	return b.String() + ": " + e.Message
}

// Load reads one file; Add reads several into one Manifest.
func Load(file string, text []byte) (*Manifest, error) {
	m := &Manifest{}
	return m, m.Add(file, text)
}

// Add reads one more file. What is right is added also when something else in the file is wrong; the error joins one Error
// for each mistake.
func (m *Manifest) Add(file string, text []byte) error {
	if m.Sources == nil {
		m.Sources = map[snapshot.Ref]Document{}
	}
	var errs []error
	for _, doc := range split(file, text) {
		errs = append(errs, m.add(doc))
	}
	return errors.Join(errs...)
}

func (m *Manifest) add(doc Document) error {
	if err := doc.head(); err != nil {
		return err
	}
	if doc.json == nil {
		return nil // comments only
	}
	obj := typed(doc.Type)
	if obj == nil {
		m.Skipped = append(m.Skipped, doc)
		return nil
	}
	if err := doc.Decode(obj); err != nil {
		return err
	}
	if obj.GetName() == "" {
		return doc.errorAt("metadata.name", "is empty: give the object a name")
	}
	kind, _ := snapshot.KindOf(obj)
	if obj.GetNamespace() == "" && namespaced(kind) {
		obj.SetNamespace(DefaultNamespace)
	}
	event := snapshot.Upsert(obj)
	if before, twice := m.Sources[event.Ref]; twice {
		return doc.errorAt("metadata.name", fmt.Sprintf("the same object is in %s:%d already: remove one", before.File, before.Line))
	}
	m.Events = append(m.Events, event)
	m.Sources[event.Ref] = doc
	return nil
}

// Decode reads the document into a typed object. Unknown and repeated fields are mistakes: they are mostly misspelled.
func (d *Document) Decode(into any) error {
	strict, err := kjson.UnmarshalStrict(d.json, into)
	if err != nil {
		return d.describe(err.Error())
	}
	errs := make([]error, len(strict))
	for i, err := range strict {
		errs[i] = d.describe(err.Error())
	}
	return errors.Join(errs...)
}

// head finds out what the document is about.
func (d *Document) head() error {
	if len(bytes.TrimSpace(d.text)) == 0 {
		return nil
	}
	text, err := yaml.YAMLToJSONStrict(d.text)
	if err != nil {
		return d.describe(err.Error())
	}
	switch {
	case string(text) == "null":
		return nil
	case text[0] != '{':
		return d.errorAt("", "is no object: a document of a manifest has apiVersion, kind and metadata")
	}
	var head struct {
		metav1.TypeMeta `json:",inline"`
		Metadata        struct {
			Name      string `json:"name"`
			Namespace string `json:"namespace"`
		} `json:"metadata"`
	}
	d.json = text
	if err := kjson.UnmarshalCaseSensitivePreserveInts(text, &head); err != nil {
		return d.describe(err.Error())
	}
	d.Type, d.Namespace, d.Name = head.TypeMeta, head.Metadata.Namespace, head.Metadata.Name
	if d.Type.Kind == "" || d.Type.APIVersion == "" {
		return d.errorAt("", "apiVersion or kind is missing: every Kubernetes object has both")
	}
	return nil
}

// typed is an empty object of the type that a document claims to be; nil for those that no Snapshot holds.
func typed(t metav1.TypeMeta) snapshot.Object {
	switch t.APIVersion + " " + t.Kind {
	case "v1 Service":
		return &corev1.Service{}
	case "v1 Pod":
		return &corev1.Pod{}
	case "v1 Namespace":
		return &corev1.Namespace{}
	case "v1 ServiceAccount":
		return &corev1.ServiceAccount{}
	case "v1 Node":
		return &corev1.Node{}
	case discoveryv1.SchemeGroupVersion.String() + " EndpointSlice":
		return &discoveryv1.EndpointSlice{}
	case gatewayv1.GroupVersion.String() + " HTTPRoute", gatewayv1beta1.GroupVersion.String() + " HTTPRoute":
		return &gatewayv1.HTTPRoute{} // both versions have the same fields
	case gatewayv1.GroupVersion.String() + " ReferenceGrant", gatewayv1beta1.GroupVersion.String() + " ReferenceGrant":
		return &gatewayv1.ReferenceGrant{}
	case v1alpha1.GroupVersion.String() + " Mesh":
		return &v1alpha1.Mesh{}
	}
	return nil
}

func namespaced(kind snapshot.Kind) bool {
	return !slices.Contains([]snapshot.Kind{snapshot.KindNamespace, snapshot.KindNode, snapshot.KindMesh}, kind)
}

// split cuts a file at the lines that separate documents.
func split(file string, text []byte) []Document {
	var out []Document
	start := 1
	var lines [][]byte
	flush := func(next int) {
		body := bytes.Join(lines, []byte("\n"))
		if len(bytes.TrimSpace(body)) > 0 {
			out = append(out, Document{File: file, Index: len(out) + 1, Line: start, text: body})
		}
		lines, start = nil, next
	}
	for i, line := range bytes.Split(text, []byte("\n")) {
		line = bytes.TrimSuffix(line, []byte("\r"))
		if bytes.HasPrefix(line, []byte("---")) && len(bytes.TrimSpace(line)) == 3 || bytes.HasPrefix(line, []byte("--- ")) {
			flush(i + 2)
			continue
		}
		lines = append(lines, line)
	}
	flush(0)
	return out
}

// object is "Kind namespace/name" for messages.
func (d *Document) object() string {
	if d.Type.Kind == "" {
		return ""
	}
	name := d.Name
	if d.Namespace != "" {
		name = d.Namespace + "/" + name
	}
	return strings.TrimSpace(d.Type.Kind + " " + cmp.Or(name, "without a name"))
}
