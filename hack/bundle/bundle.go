package main

import (
	"bytes"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// Files are the files of a bundle: slash paths below its root, and contents.
type Files map[string][]byte

const (
	packageName  = "leno"
	channel      = "alpha"
	manifestsDir = "manifests"
	metadataDir  = "metadata"
)

// label is an annotation of the bundle: in metadata/annotations.yaml, and the same on the image.
type label struct{ key, value string }

// labels are those of the format registry+v1, in the order of its documentation.
var labels = []label{
	{"operators.operatorframework.io.bundle.mediatype.v1", "registry+v1"},
	{"operators.operatorframework.io.bundle.manifests.v1", manifestsDir + "/"},
	{"operators.operatorframework.io.bundle.metadata.v1", metadataDir + "/"},
	{"operators.operatorframework.io.bundle.package.v1", packageName},
	{"operators.operatorframework.io.bundle.channels.v1", channel},
	{"operators.operatorframework.io.bundle.channel.default.v1", channel},
}

// Build makes the bundle from the manifests that kustomize renders of config/default and an example of each kind. Same input, same
// bytes.
func Build(manifests []byte, examples [][]byte, version string) (Files, error) {
	r, err := sortOut(manifests)
	if err != nil {
		return nil, err
	}
	var shown []any
	for _, example := range examples {
		object, err := parse(example)
		if err != nil {
			return nil, fmt.Errorf("example: %w", err)
		}
		shown = append(shown, object.Object)
	}
	granted, free, err := grants(r)
	if err != nil {
		return nil, err
	}
	csv, err := newCSV(r, granted, shown, version)
	if err != nil {
		return nil, err
	}
	files := Files{"bundle.Dockerfile": dockerfile(), metadataDir + "/annotations.yaml": annotations()}
	if err := files.put(packageName+".clusterserviceversion.yaml", csv); err != nil {
		return nil, err
	}
	for _, crd := range r.crds {
		group, _, _ := unstructured.NestedString(crd.Object, "spec", "group")
		plural, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "plural")
		if err := files.put(group+"_"+plural+".yaml", crd.Object); err != nil {
			return nil, err
		}
	}
	for _, object := range append(free, r.objects...) {
		object = object.DeepCopy()
		object.SetNamespace("")
		if err := files.put(fileName(object), object.Object); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// put adds a manifest. Keys are sorted.
func (f Files) put(name string, content any) error {
	path := manifestsDir + "/" + name
	if _, taken := f[path]; taken {
		return fmt.Errorf("two objects of the bundle want the file %s: rename one in config/", path)
	}
	encoded, err := yaml.Marshal(content)
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	f[path] = encoded
	return nil
}

// fileName follows Operator SDK: name, group, version, kind.
func fileName(object *unstructured.Unstructured) string {
	apiVersion := strings.ReplaceAll(object.GetAPIVersion(), "/", "_")
	return object.GetName() + "_" + apiVersion + "_" + strings.ToLower(object.GetKind()) + ".yaml"
}

func annotations() []byte {
	var b bytes.Buffer
	b.WriteString("annotations:\n")
	for _, l := range labels {
		fmt.Fprintf(&b, "  %s: %s\n", l.key, l.value)
	}
	return b.Bytes()
}

// dockerfile makes the image of the bundle; its context is the bundle's folder.
func dockerfile() []byte {
	var b bytes.Buffer
	b.WriteString("FROM scratch\n\n")
	for _, l := range labels {
		fmt.Fprintf(&b, "LABEL %s=%s\n", l.key, l.value)
	}
	fmt.Fprintf(&b, "\nCOPY %[1]s /%[1]s/\nCOPY %[2]s /%[2]s/\n", manifestsDir, metadataDir)
	return b.Bytes()
}
