package main

import (
	"bytes"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const root = "../.."

// source are the manifests of config/, as they are before kustomize.
func source(t *testing.T) string {
	t.Helper()
	var all bytes.Buffer
	for _, folder := range []string{"manager", "crd", "rbac", "webhook"} {
		paths, err := filepath.Glob(filepath.Join(root, "config", folder, "*.yaml"))
		if err != nil || len(paths) == 0 {
			t.Fatalf("no manifests in config/%s: %v", folder, err)
		}
		for _, path := range paths {
			if filepath.Base(path) == "kustomization.yaml" {
				continue
			}
			all.WriteString("---\n" + read(t, path))
		}
	}
	return all.String()
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// samples are the examples that the Makefile shows.
var samples = []string{root + "/config/samples/mesh.yaml", root + "/config/samples/gatewayparameters.yaml"}

func build(t *testing.T) Files {
	t.Helper()
	files, err := Build([]byte(source(t)), examples(t), "0.1.0")
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func examples(t *testing.T) (all [][]byte) {
	t.Helper()
	for _, path := range samples {
		all = append(all, []byte(read(t, path)))
	}
	return all
}

func TestBuild(t *testing.T) {
	files := build(t)
	if err := Check(files); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(files, build(t)); diff != "" {
		t.Errorf("the same input gave other bytes:\n%s", diff)
	}
	want := []string{
		"bundle.Dockerfile",
		"manifests/leno-gateway-parameters-edit_rbac.authorization.k8s.io_v1_clusterrole.yaml",
		"manifests/leno-gateway-parameters-view_rbac.authorization.k8s.io_v1_clusterrole.yaml",
		"manifests/leno-manager_policy_v1_poddisruptionbudget.yaml",
		"manifests/leno-manager_rbac.authorization.k8s.io_v1_role.yaml",
		"manifests/leno-manager_rbac.authorization.k8s.io_v1_rolebinding.yaml",
		"manifests/leno-manager_v1_service.yaml",
		"manifests/leno-mesh-view_rbac.authorization.k8s.io_v1_clusterrole.yaml",
		"manifests/leno-metrics-reader_rbac.authorization.k8s.io_v1_clusterrole.yaml",
		"manifests/leno.clusterserviceversion.yaml",
		"manifests/mesh.leno.dev_gatewayparameters.yaml",
		"manifests/mesh.leno.dev_meshes.yaml",
		"metadata/annotations.yaml",
	}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(files))); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// Under OLM the manager must not be able to do more than under kustomize: it writes Secrets in its own namespace only. It watches those of
// all namespaces for the certificates of gateways; what it reads is by type (docs/decisions/0011-certificates-of-gateways.md).
func TestSecretsOfOthersAreOnlyRead(t *testing.T) {
	b, err := decode(build(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range b.csv.Spec.Install.Spec.ClusterPermissions {
		for _, rule := range p.Rules {
			if slices.Contains(rule.Resources, "*") {
				t.Errorf("%s gets %v on everything", p.ServiceAccountName, rule.Verbs)
			}
			if !slices.Contains(rule.Resources, "secrets") {
				continue
			}
			if p.ServiceAccountName != "leno-manager" || !slices.Equal(rule.Verbs, []string{"list", "watch"}) {
				t.Errorf("%s gets %v on secrets in all namespaces", p.ServiceAccountName, rule.Verbs)
			}
		}
	}
}

// What is committed must be what OLM takes; that it is what config/ renders is for make check-generated.
func TestCommittedBundle(t *testing.T) {
	files := Files{}
	bundle := os.DirFS(root + "/bundle")
	err := fs.WalkDir(bundle, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[path], err = fs.ReadFile(bundle, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(files); err != nil {
		t.Error(err)
	}
}

func TestBuildRefuses(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"a kind nobody decided about": {"kind: PodDisruptionBudget", "kind: ConfigMap", "decide in hack/bundle/rendered.go"},
		"a field that does not exist": {"terminationGracePeriodSeconds", "terminationGracePeriod", "unknown field"},
		"no namespace":                {"kind: Namespace", "kind: Role", "expected a Namespace"},
		"a grant to somebody else's account": {"kind: ServiceAccount\n  name: leno-manager\n  namespace: leno-system\n---",
			"kind: ServiceAccount\n  name: leno-manager\n  namespace: kube-system\n---", "leno-system only, not to ServiceAccount kube-system/leno-manager"},
		"an account without a grant": {"kind: ClusterRoleBinding", "kind: RoleBinding", "has no ClusterRoleBinding"},
		"a role that is not there": {"  kind: ClusterRole\n  name: leno-manager", "  kind: ClusterRole\n  name: gone",
			"ClusterRole gone is not among the manifests"},
		"a key that is there twice": {"  replicas: 2", "  replicas: 2\n  replicas: 3", "already set"},
	} {
		t.Run(name, func(t *testing.T) {
			manifests := source(t)
			if !strings.Contains(manifests, c.old) {
				t.Fatalf("config/ has no %q any more", c.old)
			}
			_, err := Build([]byte(strings.Replace(manifests, c.old, c.new, 1)), examples(t), "0.1.0")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one that says %q", err, c.want)
			}
		})
	}
}

func TestCheckRefuses(t *testing.T) {
	const (
		csvFile = "manifests/leno.clusterserviceversion.yaml"
		budget  = "manifests/leno-manager_policy_v1_poddisruptionbudget.yaml"
		service = "manifests/leno-manager_v1_service.yaml"
		crdFile = "manifests/mesh.leno.dev_meshes.yaml"
	)
	for name, c := range map[string]struct{ file, old, new, want string }{
		"a name of another version":         {csvFile, "name: leno.v0.1.0", "name: leno.v0.2.0", `metadata.name is "leno.v0.2.0"`},
		"a version that is none":            {csvFile, "  version: 0.1.0", "  version: v0.1", `version "v0.1" is not of the form`},
		"no install mode":                   {csvFile, "supported: true", "supported: false", "no install mode is supported"},
		"an install mode that is missing":   {csvFile, "type: MultiNamespace", "type: OwnNamespace", "MultiNamespace is not said"},
		"an install mode that is none":      {csvFile, "type: MultiNamespace", "type: Other", `install mode "Other" does not exist`},
		"permissions, which go everywhere":  {csvFile, "      deployments:", "      permissions: []\n      deployments:", `unknown field "permissions"`},
		"webhooks without their namespaces": {csvFile, "  version: 0.1.0", "  version: 0.1.0\n  webhookdefinitions: []", `unknown field "webhookdefinitions"`},
		"an account nobody makes":           {csvFile, "serviceAccountName: leno-manager\n      deployments", "serviceAccountName: other\n      deployments", "an account that OLM does not make"},
		"an owned kind that is missing":     {csvFile, "name: meshes.mesh.leno.dev", "name: others.mesh.leno.dev", "is owned but not in the bundle"},
		"a definition that nobody owns":     {crdFile, "name: meshes.mesh.leno.dev", "name: others.mesh.leno.dev", "in the bundle but not owned"},
		"an example of another kind":        {csvFile, `"kind": "Mesh"`, `"kind": "Other"`, "which the bundle does not own"},
		"an example that is no JSON":        {csvFile, `"kind": "Mesh",`, `"kind": "Mesh"`, "annotation alm-examples"},
		"a budget that stops nodes":         {budget, "minAvailable: 1", "maxUnavailable: 0%", "lets no pod go"},
		"a kind that bundles do not carry":  {service, "kind: Service", "kind: Endpoints", "OLM does not install this kind"},
		"a namespace":                       {service, "  name: leno-manager\n", "  name: leno-manager\n  namespace: x\n", "OLM sets the namespace"},
		"two of them":                       {crdFile, "kind: CustomResourceDefinition", "kind: ClusterServiceVersion", "has more than Leno fills"},
		"another format":                    {"metadata/annotations.yaml", "registry+v1", "registry+v2", `is "registry+v2", not "registry+v1"`},
		"an image with other labels":        {"bundle.Dockerfile", "package.v1=leno", "package.v1=other", "no label operators.operatorframework.io.bundle.package.v1=leno"},
	} {
		t.Run(name, func(t *testing.T) {
			files := build(t)
			content := string(files[c.file])
			if !strings.Contains(content, c.old) {
				t.Fatalf("%s has no %q any more", c.file, c.old)
			}
			files[c.file] = []byte(strings.Replace(content, c.old, c.new, 1))
			err := Check(files)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one that says %q", err, c.want)
			}
		})
	}
}

func TestRunReplacesTheEarlierBundle(t *testing.T) {
	out := t.TempDir()
	stale := filepath.Join(out, manifestsDir, "stale.yaml")
	if err := os.MkdirAll(filepath.Dir(stale), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(stale, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(strings.NewReader("kind: Nonsense"), "0.1.0", out, samples); err == nil {
		t.Error("nonsense made a bundle")
	}
	if _, err := os.Stat(stale); err != nil {
		t.Errorf("a run that failed touched the earlier bundle: %v", err)
	}
	if err := run(strings.NewReader(source(t)), "0.1.0", out, samples); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(stale); !os.IsNotExist(err) {
		t.Errorf("a file of the earlier bundle is still there: %v", err)
	}
}
