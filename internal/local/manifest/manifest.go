// Package manifest reads Kubernetes manifests as strictly as an API server does, and says of each mistake in which file,
// line and field it is.
package manifest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/api/v1alpha1"
	"github.com/leno-mesh/leno/internal/snapshot"
)

// maxDocuments bounds one file.
const maxDocuments = 10_000

// Item is one object and where it was written.
type Item struct {
	Object snapshot.Object
	File   string
	Line   int // where its document begins
	Text   []byte
}

// Problem is one mistake.
type Problem struct {
	File string
	Line int
	// Object is "HTTPRoute shop/catalog" as far as it could be read.
	Object string
	// Field is its path, "spec.rules[0].backendRefs[0].weight"; empty when the whole object is meant.
	Field   string
	Message string
}

// String is the line to print.
func (p Problem) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s:%d: ", p.File, p.Line)
	for _, part := range []string{p.Object, p.Field} {
		if part != "" {
			out.WriteString(part + ": ")
		}
	}
	return out.String() + p.Message
}

// Result is what was read. Skipped names the objects of kinds that the mesh has no use for.
type Result struct {
	Items    []Item
	Problems []Problem
	Skipped  []string
}

var decoder = newDecoder()

func newDecoder() *json.Serializer {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{snapshot.AddToScheme, appsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			panic(fmt.Sprintf("manifest: scheme: %v", err))
		}
	}
	return json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})
}

// Read reads the documents of one file. What is wrong with one document hides no other.
func Read(file string, text []byte) Result {
	var result Result
	line := 1
	for i, document := range documents(text) {
		if i == maxDocuments {
			result.Problems = append(result.Problems, Problem{File: file, Line: line, Message: fmt.Sprintf("more than %d documents", maxDocuments)})
			break
		}
		result.add(file, line, document)
		line += bytes.Count(document, []byte("\n"))
	}
	return result
}

// documents splits at "---" lines; each document keeps its separator, so that lines can be counted.
func documents(text []byte) [][]byte {
	var out [][]byte
	start := 0
	for at := 0; at < len(text); {
		end := bytes.IndexByte(text[at:], '\n')
		if end < 0 {
			end = len(text) - at - 1
		}
		next := at + end + 1
		if line := bytes.TrimRight(text[at:next], " \t\r\n"); at > start && (bytes.Equal(line, []byte("---")) || bytes.HasPrefix(line, []byte("--- "))) {
			out = append(out, text[start:at])
			start = at
		}
		at = next
	}
	return append(out, text[start:])
}

// head is what every object has.
type head struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   struct {
		Namespace string `yaml:"namespace"`
		Name      string `yaml:"name"`
	} `yaml:"metadata"`
}

func (r *Result) add(file string, line int, document []byte) {
	problem := func(p Problem) {
		p.File = file
		p.Line += line - 1
		r.Problems = append(r.Problems, p)
	}
	var root yamlv3.Node
	if err := yamlv3.Unmarshal(document, &root); err != nil {
		problem(syntaxProblem(err))
		return
	}
	if len(root.Content) == 0 || root.Content[0].Tag == "!!null" {
		return
	}
	top := root.Content[0]
	var h head
	_ = top.Decode(&h) // what is not there stays empty, and is complained about below
	name := strings.TrimPrefix(h.Metadata.Namespace+"/"+h.Metadata.Name, "/")
	if h.Kind == "" || h.APIVersion == "" {
		problem(Problem{Line: top.Line, Message: "no kind or apiVersion: each document is one Kubernetes object"})
		return
	}
	object := h.Kind + " " + name
	decoded, _, err := decoder.Decode(document, nil, nil)
	switch {
	case runtime.IsNotRegisteredError(err):
		if strings.HasPrefix(h.APIVersion, "kustomize.config.k8s.io/") {
			return
		}
		if known := knownVersion(h.Kind); known != "" {
			problem(Problem{Line: top.Line, Object: object, Field: "apiVersion", Message: fmt.Sprintf("%q has no kind %s: use %s", h.APIVersion, h.Kind, known)})
			return
		}
		r.Skipped = append(r.Skipped, fmt.Sprintf("%s:%d: %s", file, line+top.Line-1, object))
		return
	case err != nil:
		for _, p := range decodeProblems(err, top) {
			p.Object = object
			problem(p)
		}
		return
	}
	obj, ok := decoded.(snapshot.Object)
	if !ok {
		problem(Problem{Line: top.Line, Object: object, Message: "a list: write its objects as documents of their own"})
		return
	}
	kind, known := snapshot.KindOf(obj)
	if _, deployment := obj.(*appsv1.Deployment); !known && !deployment {
		r.Skipped = append(r.Skipped, fmt.Sprintf("%s:%d: %s", file, line+top.Line-1, object))
		return
	}
	if obj.GetNamespace() == "" && !kind.ClusterScoped() {
		obj.SetNamespace(metav1.NamespaceDefault) // as kubectl does
	}
	invalid := Validate(obj)
	for _, e := range invalid {
		problem(Problem{Line: lineOf(top, e.Field), Object: object, Field: e.Field, Message: e.ErrorBody()})
	}
	if len(invalid) == 0 {
		r.Items = append(r.Items, Item{Object: obj, File: file, Line: line + top.Line - 1, Text: document})
	}
}

// knownVersion is the version of a kind that is understood, for those who took another one.
func knownVersion(kind string) string {
	gateway, leno := gatewayv1.GroupVersion.String(), v1alpha1.GroupVersion.String()
	versions := map[string]string{
		"HTTPRoute": gateway, "GRPCRoute": gateway, "TLSRoute": gateway, "TCPRoute": gateway, "UDPRoute": gateway, "ReferenceGrant": gateway,
		"Gateway": gateway, "GatewayClass": gateway, "ListenerSet": gateway, "BackendTLSPolicy": gateway, "Mesh": leno, "GatewayParameters": leno,
		"Service": "v1", "Namespace": "v1", "ServiceAccount": "v1", "Deployment": "apps/v1", "EndpointSlice": "discovery.k8s.io/v1",
	}
	return versions[kind]
}

// Duplicates are objects that are written twice: the second one is reported.
func Duplicates(items []Item) []Problem {
	var problems []Problem
	first := map[string]Item{}
	for _, item := range items {
		key := fmt.Sprintf("%T %s/%s", item.Object, item.Object.GetNamespace(), item.Object.GetName())
		if earlier, found := first[key]; found {
			problems = append(problems, Problem{
				File: item.File, Line: item.Line, Object: item.Object.GetObjectKind().GroupVersionKind().Kind + " " + strings.TrimPrefix(item.Object.GetNamespace()+"/"+item.Object.GetName(), "/"),
				Field: "metadata.name", Message: fmt.Sprintf("already in %s:%d", earlier.File, earlier.Line),
			})
			continue
		}
		first[key] = item
	}
	return slices.Clip(problems)
}
