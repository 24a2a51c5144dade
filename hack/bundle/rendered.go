package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// rendered are the manifests of config/default, by what becomes of them in a bundle.
type rendered struct {
	// namespace is what the operator lives in: a suggestion in the ClusterServiceVersion, because a bundle has no Namespace.
	namespace *unstructured.Unstructured
	// deployments, accounts and clusterBindings become the install strategy; OLM makes the objects under names of its own.
	deployments     []*unstructured.Unstructured
	accounts        []*unstructured.Unstructured
	clusterBindings []*unstructured.Unstructured
	clusterRoles    []*unstructured.Unstructured
	crds            []*unstructured.Unstructured
	// objects go into the bundle as they are, but for their namespace, which OLM sets.
	objects []*unstructured.Unstructured
}

// sortOut reads a stream of manifests. A kind that it does not know is an error: whoever adds one to config/ decides here what
// becomes of it under OLM.
func sortOut(stream []byte) (rendered, error) {
	var r rendered
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(stream)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return rendered{}, fmt.Errorf("split the rendered manifests: %w", err)
		}
		if len(bytes.TrimSpace(document)) == 0 {
			continue
		}
		object, err := parse(document)
		if err != nil {
			return rendered{}, fmt.Errorf("rendered manifests: %w", err)
		}
		if err := r.add(object); err != nil {
			return rendered{}, err
		}
	}
	if r.namespace == nil || len(r.deployments) == 0 || len(r.crds) == 0 {
		return rendered{}, errors.New("rendered manifests: expected a Namespace, a Deployment and a CustomResourceDefinition; pass what kustomize builds of config/default")
	}
	return r, nil
}

func (r *rendered) add(object *unstructured.Unstructured) error {
	switch kind := object.GetKind(); kind {
	case "Namespace":
		if r.namespace != nil {
			return fmt.Errorf("namespaces %s and %s: an operator of OLM lives in one", r.namespace.GetName(), object.GetName())
		}
		r.namespace = object
	case "Deployment":
		r.deployments = append(r.deployments, object)
	case "ServiceAccount":
		r.accounts = append(r.accounts, object)
	case "ClusterRoleBinding":
		r.clusterBindings = append(r.clusterBindings, object)
	case "ClusterRole":
		r.clusterRoles = append(r.clusterRoles, object)
	case "CustomResourceDefinition":
		r.crds = append(r.crds, object)
	case "Role", "RoleBinding", "Service", "PodDisruptionBudget":
		r.objects = append(r.objects, object)
	case "MutatingWebhookConfiguration":
		// Not a kind that bundles carry, and not to be said in webhookdefinitions: config/overlays/olm installs it.
	default:
		return fmt.Errorf("%s %s: decide in hack/bundle/rendered.go what becomes of this kind under OLM", kind, object.GetName())
	}
	return nil
}

// parse reads one object. Integers stay integers, which they would not as a plain map.
func parse(document []byte) (*unstructured.Unstructured, error) {
	asJSON, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return nil, fmt.Errorf("parse YAML: %w", err)
	}
	var object unstructured.Unstructured
	if err := object.UnmarshalJSON(asJSON); err != nil {
		return nil, fmt.Errorf("parse object: %w", err)
	}
	return &object, nil
}
