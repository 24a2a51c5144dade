package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/yaml"
)

// Check says everything that OLM would refuse in a bundle, and what would give Leno more rights than config/default does. It knows
// the rules that are documented for registry+v1 and that concern what Leno uses; Operator SDK's "bundle validate" knows them all.
func Check(files Files) error {
	problems := checkMetadata(files)
	b, err := decode(files)
	if err != nil {
		return errors.Join(append(problems, err)...)
	}
	for _, rule := range rules {
		for _, problem := range rule.broken(b) {
			problems = append(problems, fmt.Errorf("%s: %w", rule.name, problem))
		}
	}
	return errors.Join(problems...)
}

// decoded is a bundle as OLM reads it.
type decoded struct {
	csv     csv
	crds    []apiextensionsv1.CustomResourceDefinition
	objects []*unstructured.Unstructured
}

// rules are what a bundle must keep, each with its purpose.
var rules = []struct {
	name   string
	broken func(decoded) []error
}{
	{"a name says package and version", checkName},
	{"an operator can be installed somewhere", checkInstallModes},
	{"owned definitions are those of the bundle", checkOwned},
	{"examples are of owned kinds", checkExamples},
	{"OLM finds what to deploy and who runs it", checkStrategy},
	{"objects are of kinds that bundles carry, and well formed", checkObjects},
}

// supported are the kinds of OLM's list that Leno uses, with strict decoders.
var supported = map[string]func(*unstructured.Unstructured) error{
	"v1/Service":                               strict[corev1.Service],
	"rbac.authorization.k8s.io/v1/Role":        strict[rbacv1.Role],
	"rbac.authorization.k8s.io/v1/RoleBinding": strict[rbacv1.RoleBinding],
	"rbac.authorization.k8s.io/v1/ClusterRole": strict[rbacv1.ClusterRole],
	"policy/v1/PodDisruptionBudget":            checkBudget,
}

func decode(files Files) (decoded, error) {
	var b decoded
	found := 0
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if path.Dir(name) != manifestsDir {
			continue
		}
		object, err := parse(files[name])
		if err != nil {
			return decoded{}, fmt.Errorf("%s: %w", name, err)
		}
		switch object.GetKind() {
		case csvKind:
			found++
			if err := yaml.UnmarshalStrict(files[name], &b.csv); err != nil {
				return decoded{}, fmt.Errorf("%s has more than Leno fills: %w", name, err)
			}
		case "CustomResourceDefinition":
			crd, err := typed[apiextensionsv1.CustomResourceDefinition](object)
			if err != nil {
				return decoded{}, err
			}
			b.crds = append(b.crds, crd)
		default:
			b.objects = append(b.objects, object)
		}
	}
	if found != 1 {
		return decoded{}, fmt.Errorf("a bundle has one %s, not %d", csvKind, found)
	}
	return b, nil
}

func checkMetadata(files Files) (problems []error) {
	var metadata struct {
		Annotations map[string]string `json:"annotations"`
	}
	if err := yaml.UnmarshalStrict(files[metadataDir+"/annotations.yaml"], &metadata); err != nil {
		return []error{fmt.Errorf("metadata/annotations.yaml: %w", err)}
	}
	image := strings.Split(string(files["bundle.Dockerfile"]), "\n")
	for _, l := range labels {
		if got := metadata.Annotations[l.key]; got != l.value {
			problems = append(problems, fmt.Errorf("metadata/annotations.yaml: %s is %q, not %q", l.key, got, l.value))
		}
		if !slices.Contains(image, "LABEL "+l.key+"="+l.value) {
			problems = append(problems, fmt.Errorf("bundle.Dockerfile: no label %s=%s", l.key, l.value))
		}
	}
	return problems
}

func checkName(b decoded) (problems []error) {
	name, spec := b.csv.Metadata.Name, b.csv.Spec
	if b.csv.APIVersion != csvAPIVersion {
		problems = append(problems, fmt.Errorf("apiVersion is %q, not %s", b.csv.APIVersion, csvAPIVersion))
	}
	if want := packageName + ".v" + spec.Version; name != want {
		problems = append(problems, fmt.Errorf("metadata.name is %q, not %s", name, want))
	}
	for _, why := range validation.IsDNS1123Subdomain(name) {
		problems = append(problems, fmt.Errorf("metadata.name %q: %s", name, why))
	}
	for _, v := range []string{spec.Version, spec.MinKubeVersion} {
		if _, err := version.ParseSemantic(v); err != nil || strings.HasPrefix(v, "v") {
			problems = append(problems, fmt.Errorf("version %q is not of the form 1.2.3", v))
		}
	}
	return problems
}

func checkInstallModes(b decoded) (problems []error) {
	seen := map[string]bool{}
	for _, mode := range b.csv.Spec.InstallModes {
		if _, twice := seen[mode.Type]; twice {
			problems = append(problems, fmt.Errorf("install mode %s is there twice", mode.Type))
		}
		seen[mode.Type] = mode.Supported
	}
	for _, mode := range []string{"OwnNamespace", "SingleNamespace", "MultiNamespace", "AllNamespaces"} {
		if _, ok := seen[mode]; !ok {
			problems = append(problems, fmt.Errorf("install mode %s is not said to be supported or not", mode))
		}
		delete(seen, mode)
	}
	for _, mode := range slices.Sorted(maps.Keys(seen)) {
		problems = append(problems, fmt.Errorf("install mode %q does not exist", mode))
	}
	if !slices.ContainsFunc(b.csv.Spec.InstallModes, func(m installMode) bool { return m.Supported }) {
		problems = append(problems, errors.New("no install mode is supported"))
	}
	return problems
}

// gvk is the notation of owned definitions: resource, version, kind.
type gvk struct{ name, version, kind string }

func (k gvk) String() string { return k.kind + " " + k.name + " " + k.version }

func checkOwned(b decoded) (problems []error) {
	missing := map[gvk]bool{}
	for _, owned := range b.csv.Spec.CustomResourceDefinitions.Owned {
		key := gvk{owned.Name, owned.Version, owned.Kind}
		if missing[key] {
			problems = append(problems, fmt.Errorf("%s is owned twice", key))
		}
		missing[key] = true
	}
	for _, crd := range b.crds {
		for _, v := range crd.Spec.Versions {
			key := gvk{crd.Name, v.Name, crd.Spec.Names.Kind}
			if !missing[key] {
				problems = append(problems, fmt.Errorf("%s is in the bundle but not owned, or there twice", key))
			}
			delete(missing, key)
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(missing), func(a, c gvk) int { return strings.Compare(a.String(), c.String()) }) {
		problems = append(problems, fmt.Errorf("%s is owned but not in the bundle", key))
	}
	return problems
}

func checkExamples(b decoded) (problems []error) {
	var examples []unstructured.Unstructured
	if err := json.Unmarshal([]byte(b.csv.Metadata.Annotations["alm-examples"]), &examples); err != nil {
		return []error{fmt.Errorf("annotation alm-examples: %w", err)}
	}
	shown := map[string]bool{}
	for _, example := range examples {
		shown[example.GetAPIVersion()+" "+example.GetKind()] = true
	}
	for _, owned := range b.csv.Spec.CustomResourceDefinitions.Owned {
		_, group, _ := strings.Cut(owned.Name, ".")
		key := group + "/" + owned.Version + " " + owned.Kind
		if !shown[key] {
			problems = append(problems, fmt.Errorf("%s has no example", key))
		}
		delete(shown, key)
	}
	for _, key := range slices.Sorted(maps.Keys(shown)) {
		problems = append(problems, fmt.Errorf("an example is of %s, which the bundle does not own", key))
	}
	return problems
}

func checkStrategy(b decoded) (problems []error) {
	install := b.csv.Spec.Install
	if install.Strategy != "deployment" || len(install.Spec.Deployments) == 0 {
		problems = append(problems, errors.New("the strategy deploys nothing"))
	}
	accounts := map[string]bool{}
	for _, p := range install.Spec.ClusterPermissions {
		accounts[p.ServiceAccountName] = true
	}
	names := map[string]bool{}
	for _, d := range install.Spec.Deployments {
		if names[d.Name] {
			problems = append(problems, fmt.Errorf("deployment %s is there twice", d.Name))
		}
		names[d.Name] = true
		if account := d.Spec.Template.Spec.ServiceAccountName; !accounts[account] {
			problems = append(problems, fmt.Errorf("deployment %s runs as %q, an account that OLM does not make", d.Name, account))
		}
	}
	for _, image := range b.csv.Spec.RelatedImages {
		if image.Name == "" || image.Image == "" {
			problems = append(problems, fmt.Errorf("related image %q is %q", image.Name, image.Image))
		}
	}
	return problems
}

func checkObjects(b decoded) (problems []error) {
	for _, object := range b.objects {
		who := object.GetKind() + " " + object.GetName()
		check, ok := supported[object.GetAPIVersion()+"/"+object.GetKind()]
		if !ok {
			problems = append(problems, fmt.Errorf("%s (%s): OLM does not install this kind", who, object.GetAPIVersion()))
			continue
		}
		if err := check(object); err != nil {
			problems = append(problems, err)
		}
		if object.GetNamespace() != "" {
			problems = append(problems, fmt.Errorf("%s: OLM sets the namespace, not the bundle", who))
		}
	}
	return problems
}

func strict[T any](object *unstructured.Unstructured) error {
	_, err := typed[T](object)
	return err
}

// checkBudget: budgets that forbid every eviction would stop a node from being drained.
func checkBudget(object *unstructured.Unstructured) error {
	budget, err := typed[policyv1.PodDisruptionBudget](object)
	if err != nil {
		return err
	}
	is := func(got *intstr.IntOrString, bad ...string) bool {
		return got != nil && slices.Contains(bad, got.String())
	}
	if is(budget.Spec.MaxUnavailable, "0", "0%") || is(budget.Spec.MinAvailable, "100%") {
		return fmt.Errorf("PodDisruptionBudget %s lets no pod go: OLM refuses that", budget.Name)
	}
	return nil
}
