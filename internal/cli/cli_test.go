package cli

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/test/golden"
)

// execute runs the command line and returns what it printed, to both outputs, and its error.
func execute(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	root := New("test")
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetIn(strings.NewReader(stdin))
	root.SetArgs(args)
	if err := root.Execute(); err != nil {
		out.WriteString("error: " + err.Error() + "\n")
	}
	return out.String()
}

// TestGolden runs the commands in testdata/*.txt: the first line is the command, the rest what it prints.
func TestGolden(t *testing.T) {
	dir := golden.Dir{Root: "testdata"}
	golden.Each(t, "testdata", ".txt", func(t *testing.T, file string) {
		line, _, _ := strings.Cut(string(golden.Read(t, file)), "\n")
		dir.Check(t, filepath.Base(file), []byte(line+"\n"+execute(t, "", arguments(line)...)))
	})
}

// arguments splits "$ leno a 'b c'" at spaces outside of single quotes.
func arguments(line string) []string {
	var args []string
	for i, part := range strings.Split(strings.TrimPrefix(line, "$ leno "), "'") {
		if i%2 == 1 {
			args = append(args, part)
			continue
		}
		args = append(args, strings.Fields(part)...)
	}
	return args
}

// TestTranslate: a Service with a route becomes four resources, each by its own name.
func TestTranslate(t *testing.T) {
	got := execute(t, "", "translate", "-f", "../../config/samples/shop")
	for _, want := range []string{
		"# type.googleapis.com/envoy.config.listener.v3.Listener\n", "\nname: outbound/127.96.",
		"# type.googleapis.com/envoy.config.route.v3.RouteConfiguration\nname: shop/catalog:80\n", "\nclusterName: shop/catalog-v2:80\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// TestInject: the sidecar comes, comes once, and goes again.
func TestInject(t *testing.T) {
	pod := "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\n  namespace: shop\nspec:\n  containers:\n  - image: web\n    name: web\n"
	out := func(stdin string, args ...string) string {
		text := execute(t, stdin, append([]string{"inject", "-f", "-"}, args...)...)
		_, object, _ := strings.Cut(text, "apiVersion:") // reasons come first
		return "apiVersion:" + object
	}
	injected := out(pod, "--enabled")
	if !strings.Contains(injected, "name: leno-proxy") {
		t.Errorf("no sidecar in\n%s", injected)
	}
	if again := out(injected, "--enabled"); again != injected {
		t.Errorf("injected twice:\n%s", again)
	}
	if removed := out(injected, "--remove"); strings.Contains(removed, "leno") {
		t.Errorf("still there:\n%s", removed)
	}
	bad := strings.Replace(pod, "  name: web\n", "  name: web\n  annotations: {mesh.leno.dev/exclude-inbound-ports: many}\n", 1)
	if text := execute(t, bad, "inject", "-f", "-", "--enabled"); !strings.Contains(text, "error: Pod shop/web: ") || !strings.Contains(text, "exclude-inbound-ports") {
		t.Errorf("a bad annotation gives\n%s", text)
	}
}
