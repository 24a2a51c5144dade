// Package apiserver gives tests a real API server, the one of test/cluster, with custom resource definitions of choice.
package apiserver

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// Server is a running API server.
type Server struct {
	Config *rest.Config
}

// Start starts an API server with Leno's own definitions; it ends with the test. Tests that need one are skipped where
// its binaries are not: "make test-api" builds them and says where they are.
func Start(t testing.TB) *Server {
	t.Helper()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Skip("needs the binaries of a Kubernetes API server: run make test-api")
	}
	env := &envtest.Environment{
		CRDInstallOptions: envtest.CRDInstallOptions{Paths: definitions(t), ErrorIfPathMissing: true},
	}
	rc, err := env.Start()
	if err != nil {
		t.Fatalf("start an API server: %v", err)
	}
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Errorf("stop the API server: %v", err)
		}
	})
	rc.QPS, rc.Burst = 500, 1000
	return &Server{Config: rc}
}

// Install adds the definitions in a folder of a Go module that the project uses.
func (s *Server) Install(t testing.TB, module, folder string) {
	t.Helper()
	list := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module)
	list.Dir = root(t)
	out, err := list.Output()
	if err != nil {
		t.Fatalf("where module %s is: %v", module, err)
	}
	_, err = envtest.InstallCRDs(s.Config, envtest.CRDInstallOptions{
		Paths: []string{filepath.Join(strings.TrimSpace(string(out)), folder)}, ErrorIfPathMissing: true,
	})
	if err != nil {
		t.Fatalf("install the definitions of %s: %v", module, err)
	}
}

// Apply creates what a kustomization in the checkout says; what only is false for is only checked.
func (s *Server) Apply(t testing.TB, folder string, only func(*unstructured.Unstructured) bool) {
	t.Helper()
	kubectl := filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl")
	out, err := exec.Command(kubectl, "kustomize", filepath.Join(root(t), folder)).Output()
	if err != nil {
		t.Fatalf("kustomize %s: %v", folder, err)
	}
	c, err := client.New(s.Config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(out), 4096)
	for {
		var obj unstructured.Unstructured
		if err := decoder.Decode(&obj); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("kustomize %s: %v", folder, err)
		}
		options := []client.CreateOption{client.FieldValidation("Strict")}
		if !only(&obj) {
			options = append(options, client.DryRunAll)
		}
		if err := c.Create(t.Context(), &obj, options...); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatalf("%s %s of %s: %v", obj.GetKind(), obj.GetName(), folder, err)
		}
	}
}

// As is the configuration of a client with the rights of a service account.
func (s *Server) As(namespace, account string) *rest.Config {
	rc := rest.CopyConfig(s.Config)
	rc.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + namespace + ":" + account,
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
	}
	return rc
}

// definitions are the files of Leno's own definitions.
func definitions(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root(t), "config/crd/mesh.leno.dev_*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no definitions in config/crd: %v", err)
	}
	return files
}

// root is the top of the checkout.
func root(t testing.TB) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		t.Fatal("no source file name")
	}
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Says checks an API server's answer: accepted when words is empty, refused with these words if not.
func Says(t testing.TB, err error, words string) {
	t.Helper()
	switch {
	case words == "" && err != nil:
		t.Errorf("refused: %v", err)
	case words != "" && err == nil:
		t.Errorf("accepted, want words like %q", words)
	case words != "" && !strings.Contains(err.Error(), words):
		t.Errorf("says %q, want words like %q", err, words)
	}
}
