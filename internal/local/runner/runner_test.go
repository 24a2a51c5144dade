package runner

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leno-mesh/leno/internal/local/sidecar"
)

// TestMain lets the test binary be the sidecar and the command of its own runs.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "sidecar":
			if err := sidecar.Run(context.Background(), os.Stdin, os.Stdout, os.Stderr); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			return
		case "app":
			err := http.ListenAndServe(os.Getenv("HOST")+":"+os.Getenv("PORT"), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, os.Getenv("SAYS"))
			}))
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// screen keeps what a run prints.
type screen struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func eventually(t *testing.T, what string, out *screen, check func() bool) {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	ticks := time.NewTicker(20 * time.Millisecond)
	defer ticks.Stop()
	for !check() {
		select {
		case <-deadline.C:
			t.Fatalf("%s: never; it printed\n%s", what, out)
		case <-ticks.C:
		}
	}
}

// begin runs the manifests of a folder; stop ends that and waits for it.
func begin(t *testing.T, folder string) (out *screen, stop func()) {
	t.Helper()
	out = &screen{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Options{
			Paths: []string{folder}, Out: out, Sidecar: []string{os.Args[0], "sidecar"}, Path: os.Getenv("PATH"),
			Log: slog.New(slog.NewTextHandler(out, nil)),
		})
	}()
	return out, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

const deploymentText = `
---
apiVersion: apps/v1
kind: Deployment
metadata: {namespace: NS, name: web-VERSION}
spec:
  selector: {matchLabels: {app: web, version: VERSION}}
  template:
    metadata:
      labels: {app: web, version: VERSION}
      annotations: {mesh.leno.dev/run: "SELF app"}
    spec:
      containers:
      - {name: web, env: [{name: SAYS, value: VERSION}], ports: [{containerPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {namespace: NS, name: web-VERSION}
spec: {selector: {version: VERSION}, ports: [{port: 8080}]}
`

const webText = `
apiVersion: v1
kind: Service
metadata: {namespace: NS, name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 8080, appProtocol: http}]}
`

const routeText = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {namespace: NS, name: web}
spec:
  parentRefs: [{group: "", kind: Service, name: web}]
  rules:
  - backendRefs: [{name: web-VERSION, port: 8080}]
`

const gatewayText = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {namespace: NS, name: edge}
spec:
  gatewayClassName: leno
  listeners: [{name: http, port: 8090, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {namespace: NS, name: edge}
spec:
  parentRefs: [{name: edge}]
  rules:
  - backendRefs: [{name: web-v1, port: 8080}]
`

// TestRunGateway: a Gateway is a proxy of its own, which is found at the address that is shown.
func TestRunGateway(t *testing.T) {
	folder := t.TempDir()
	text := strings.NewReplacer("NS", fmt.Sprintf("gateway-%d", os.Getpid()), "VERSION", "v1", "SELF", os.Args[0]).Replace(deploymentText + "---" + gatewayText)
	if err := os.WriteFile(filepath.Join(folder, "all.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out, stop := begin(t, folder)
	defer stop()
	address := regexp.MustCompile(`edge:8090 +(http://\S+)`)
	eventually(t, "the overview", out, func() bool { return address.MatchString(out.String()) })
	url := address.FindStringSubmatch(out.String())[1]
	// The gateway may hear of the pod's endpoint a moment after the run has.
	eventually(t, "200 from v1", out, func() bool {
		resp, err := http.Get(url)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return err == nil && resp.StatusCode == 200 && string(body) == "v1"
	})
}

// TestRun is a run as a user has it: it comes up, follows the files, keeps the last good state, and goes away.
func TestRun(t *testing.T) {
	folder := t.TempDir()
	namespace := fmt.Sprintf("runner-%d", os.Getpid())
	write := func(file, text, version string) {
		t.Helper()
		text = strings.NewReplacer("NS", namespace, "VERSION", version, "SELF", os.Args[0]).Replace(text)
		if err := os.WriteFile(filepath.Join(folder, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("v1.yaml", deploymentText, "v1")
	write("v2.yaml", deploymentText, "v2")
	write("web.yaml", webText, "")
	write("route.yaml", routeText, "v1")

	out, stop := begin(t, folder)
	address := regexp.MustCompile(`web:8080 +(http://\S+)`)
	eventually(t, "the overview", out, func() bool { return address.MatchString(out.String()) })
	url := address.FindStringSubmatch(out.String())[1]
	answer := func() string {
		resp, err := http.Get(url)
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return string(text)
	}
	if got := answer(); got != "v1" {
		t.Errorf("answered %q, want v1", got)
	}
	write("route.yaml", routeText, "v2")
	eventually(t, "v2 answers", out, func() bool { return answer() == "v2" })
	write("route.yaml", strings.Replace(routeText, "rules:", "rulez:", 1), "v1")
	eventually(t, "the mistake is shown", out, func() bool {
		return strings.Contains(out.String(), "route.yaml:7: HTTPRoute "+namespace+"/web: spec.rulez: unknown field") &&
			strings.Contains(out.String(), "keeping the last good state")
	})
	if got := answer(); got != "v2" {
		t.Errorf("after the mistake %q, want v2", got)
	}
	write("v2.yaml", strings.Replace(deploymentText, "value: VERSION", "value: changed", 1), "v2")
	write("route.yaml", routeText, "v2")
	eventually(t, "the changed Deployment answers", out, func() bool { return answer() == "changed" })
	stop()
	if got := answer(); !strings.Contains(got, "connection refused") {
		t.Errorf("it still answers %q", got)
	}
}

// TestMistakes: what is wrong from the start is said, and nothing runs.
func TestMistakes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(file, []byte("apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {port: 80}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var out screen
	err := Run(t.Context(), Options{Paths: []string{file}, Out: &out})
	if err == nil || !strings.Contains(out.String(), "bad.yaml:4: Service web: spec.port: unknown field") {
		t.Errorf("%v, printed %q", err, out.String())
	}
}
