// Package apiserver gives tests a real API server, the one of test/cluster, with custom resource definitions of choice.
package apiserver

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
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
		CRDInstallOptions: envtest.CRDInstallOptions{Paths: []string{filepath.Join(root(t), "config/crd/mesh.leno.dev_meshes.yaml")}, ErrorIfPathMissing: true},
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

// root is the top of the checkout.
func root(t testing.TB) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		t.Fatal("no source file name")
	}
	return filepath.Join(filepath.Dir(file), "..", "..")
}
