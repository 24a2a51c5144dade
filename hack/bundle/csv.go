package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

//go:embed description.md
var description string

const (
	csvAPIVersion = "operators.coreos.com/v1alpha1"
	csvKind       = "ClusterServiceVersion"
	// minKubeVersion is where sidecars are native containers that start first and stop last.
	minKubeVersion = "1.29.0"
	home           = "https://github.com/leno-mesh/leno"
)

// csv is the part of a ClusterServiceVersion (operators.coreos.com/v1alpha1) that Leno fills. OLM makes the rest.
type csv struct {
	APIVersion string      `json:"apiVersion"`
	Kind       string      `json:"kind"`
	Metadata   csvMetadata `json:"metadata"`
	Spec       csvSpec     `json:"spec"`
}

type csvMetadata struct {
	Name        string            `json:"name"`
	Annotations map[string]string `json:"annotations"`
}

type csvSpec struct {
	DisplayName               string         `json:"displayName"`
	Description               string         `json:"description"`
	Version                   string         `json:"version"`
	Maturity                  string         `json:"maturity"`
	MinKubeVersion            string         `json:"minKubeVersion"`
	Keywords                  []string       `json:"keywords"`
	Provider                  link           `json:"provider"`
	Links                     []link         `json:"links"`
	InstallModes              []installMode  `json:"installModes"`
	Install                   install        `json:"install"`
	CustomResourceDefinitions crdList        `json:"customresourcedefinitions"`
	RelatedImages             []relatedImage `json:"relatedImages"`
}

type link struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

type installMode struct {
	Type      string `json:"type"`
	Supported bool   `json:"supported"`
}

type install struct {
	Strategy string       `json:"strategy"`
	Spec     strategySpec `json:"spec"`
}

type strategySpec struct {
	ClusterPermissions []permission `json:"clusterPermissions"`
	Deployments        []deployment `json:"deployments"`
}

type deployment struct {
	Name  string                `json:"name"`
	Label map[string]string     `json:"label,omitempty"`
	Spec  appsv1.DeploymentSpec `json:"spec"`
}

type crdList struct {
	Owned []ownedCRD `json:"owned"`
}

type ownedCRD struct {
	Name        string `json:"name"`
	Version     string `json:"version"`
	Kind        string `json:"kind"`
	DisplayName string `json:"displayName"`
	Description string `json:"description"`
}

type relatedImage struct {
	Name  string `json:"name"`
	Image string `json:"image"`
}

func newCSV(r rendered, granted []permission, examples []any, version string) (csv, error) {
	deployments, images, err := strategy(r.deployments)
	if err != nil {
		return csv{}, err
	}
	owned, defaults, err := ownedCRDs(r.crds)
	if err != nil {
		return csv{}, err
	}
	notes, err := csvAnnotations(r.namespace, examples, images[0].Image)
	if err != nil {
		return csv{}, err
	}
	return csv{
		APIVersion: csvAPIVersion,
		Kind:       csvKind,
		Metadata:   csvMetadata{Name: packageName + ".v" + version, Annotations: notes},
		Spec: csvSpec{
			DisplayName:    "Leno",
			Description:    description,
			Version:        version,
			Maturity:       "alpha",
			MinKubeVersion: minKubeVersion,
			Keywords:       []string{"service mesh", "gateway api", "mutual tls", "networking"},
			Provider:       link{Name: "Leno", URL: home},
			Links:          []link{{Name: "Source", URL: home}},
			// One mesh per cluster: the other modes would watch a part of it.
			InstallModes: []installMode{
				{Type: "OwnNamespace"}, {Type: "SingleNamespace"}, {Type: "MultiNamespace"}, {Type: "AllNamespaces", Supported: true},
			},
			Install: install{
				Strategy: "deployment",
				Spec:     strategySpec{ClusterPermissions: granted, Deployments: deployments},
			},
			CustomResourceDefinitions: crdList{Owned: owned},
			RelatedImages:             append(images, defaults...),
		},
	}, nil
}

// csvAnnotations are what catalogues and consoles show. The namespace goes here with its labels, because bundles carry no Namespace.
func csvAnnotations(namespace *unstructured.Unstructured, examples []any, image string) (map[string]string, error) {
	shown, err := json.MarshalIndent(examples, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the examples: %w", err)
	}
	template, err := json.Marshal(namespace.Object)
	if err != nil {
		return nil, fmt.Errorf("encode the namespace: %w", err)
	}
	return map[string]string{
		"alm-examples":   string(shown),
		"capabilities":   "Basic Install",
		"categories":     "Networking",
		"containerImage": image,
		"description":    "A service mesh with mutual TLS and routing by Gateway API resources.",
		"repository":     home,
		"operatorframework.io/suggested-namespace":          namespace.GetName(),
		"operatorframework.io/suggested-namespace-template": string(template),
	}, nil
}

// strategy gives the deployments and the images of their containers.
func strategy(objects []*unstructured.Unstructured) (deployments []deployment, images []relatedImage, err error) {
	for _, object := range objects {
		d, err := typed[appsv1.Deployment](object)
		if err != nil {
			return nil, nil, err
		}
		deployments = append(deployments, deployment{Name: d.Name, Label: d.Labels, Spec: d.Spec})
		for _, container := range d.Spec.Template.Spec.Containers {
			images = append(images, relatedImage{Name: container.Name, Image: container.Image})
		}
	}
	if len(images) == 0 {
		return nil, nil, fmt.Errorf("deployment %s has no containers", deployments[0].Name)
	}
	return deployments, images, nil
}

// ownedCRDs describes each version, and collects the image that the Mesh has as the default of spec.proxy.image: a mirror of
// the catalogue must hold them too.
func ownedCRDs(objects []*unstructured.Unstructured) (owned []ownedCRD, images []relatedImage, err error) {
	for _, object := range objects {
		crd, err := typed[apiextensionsv1.CustomResourceDefinition](object)
		if err != nil {
			return nil, nil, err
		}
		for _, version := range crd.Spec.Versions {
			if version.Schema == nil || version.Schema.OpenAPIV3Schema == nil {
				return nil, nil, fmt.Errorf("CustomResourceDefinition %s: version %s has no schema", crd.Name, version.Name)
			}
			schema := version.Schema.OpenAPIV3Schema
			owned = append(owned, ownedCRD{
				Name:        crd.Name,
				Version:     version.Name,
				Kind:        crd.Spec.Names.Kind,
				DisplayName: crd.Spec.Names.Kind,
				Description: strings.Join(strings.Fields(schema.Description), " "),
			})
			proxy := schema.Properties["spec"].Properties["proxy"].Properties["image"].Default
			if proxy == nil {
				continue
			}
			image := relatedImage{Name: "proxy"}
			if err := json.Unmarshal(proxy.Raw, &image.Image); err != nil {
				return nil, nil, fmt.Errorf("CustomResourceDefinition %s: default of spec.proxy.image: %w", crd.Name, err)
			}
			images = append(images, image)
		}
	}
	return owned, images, nil
}
