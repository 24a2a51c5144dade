// Command cluster runs a real Kubernetes cluster on one Linux machine, as root, from Go modules: no container engine, no image
// registry. See README.md.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/leno-mesh/leno/test/cluster/artifact"
	"github.com/leno-mesh/leno/test/cluster/cluster"
	"github.com/leno-mesh/leno/test/cluster/host"
	"github.com/leno-mesh/leno/test/cluster/image"
)

// command is one verb; run gets the harness and the arguments after the verb.
type command struct {
	verb, args, does string
	run              func(ctx context.Context, h cluster.Harness, args []string) error
}

// ownArgs are the verbs whose arguments belong to somebody else, or have a --name of their own.
var ownArgs = []string{"kubectl", "exec", "image"}

var commands = []command{
	{"up", "[--nodes N]", "bring the cluster up, or what of it is missing", up},
	{"down", "", "remove the cluster and all that it made", func(_ context.Context, h cluster.Harness, _ []string) error { return h.Down() }},
	{"status", "", "show the daemons and the nodes", func(ctx context.Context, h cluster.Harness, _ []string) error { return h.Status(ctx) }},
	{"kubectl", "ARGS…", "run kubectl inside", func(_ context.Context, h cluster.Harness, args []string) error {
		return h.Exec(append([]string{"kubectl"}, args...))
	}},
	{"exec", "-- CMD…", "run a command in the first node's network namespace, with KUBECONFIG set", execInside},
	{"kubeconfig", "", "print the kubeconfig's path (its address is reachable inside only)", kubeconfig},
	{"image", "--name NAME[:TAG] --bin PATH [flags]", "make a one-layer image of a static binary and load it into every node", makeImage},
	{"load", "TARBALL…", "load image tarballs into every node", load},
	{"node", "stop-kubelet|start-kubelet NAME", "fault tests: the node's pods live on without their kubelet", node},
	{"cert-manager", "[--auto-approve] [--gateway-api]", "deploy cert-manager and wait until it is ready", certManager},
	{"gateway-api", "[--channel standard|experimental]", "apply the Gateway API's definitions", gatewayAPI},
	{"assets", "", "print a KUBEBUILDER_ASSETS folder for envtest; needs no cluster and no root", assets},
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == host.LaunchVerb {
		fail(host.Launch(os.Args[2:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fail(run(ctx, os.Args[1:]))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// run reads "[--name NAME] VERB ARGS"; most verbs take --name among their arguments too. Without one, $LENO_CLUSTER_NAME or
// "leno" is meant.
func run(ctx context.Context, args []string) error {
	name, args := takeName(cmp.Or(os.Getenv("LENO_CLUSTER_NAME"), "leno"), args, 1)
	if len(args) == 0 {
		return errors.New("name a command\n" + usage())
	}
	verb, args := args[0], args[1:]
	if !slices.Contains(ownArgs, verb) {
		name, args = takeName(name, args, len(args))
	}
	for _, c := range commands {
		if c.verb == verb {
			h, err := harness(name)
			if err != nil {
				return err
			}
			return c.run(ctx, h, args)
		}
	}
	return fmt.Errorf("no command %q\n%s", verb, usage())
}

// takeName takes --name out of the first arguments, as many as within says.
func takeName(name string, args []string, within int) (string, []string) {
	for i := range min(within, len(args)) {
		if value, ok := strings.CutPrefix(args[i], "--name="); ok {
			return value, slices.Delete(slices.Clone(args), i, i+1)
		}
		if args[i] == "--name" && i+1 < len(args) {
			return args[i+1], slices.Delete(slices.Clone(args), i, i+2)
		}
	}
	return name, args
}

func usage() string {
	var b strings.Builder
	b.WriteString("usage: cluster [--name NAME] COMMAND\n")
	for _, c := range commands {
		fmt.Fprintf(&b, "  %-14s%-40s%s\n", c.verb, c.args, c.does)
	}
	return b.String()
}

func harness(name string) (cluster.Harness, error) {
	cache := os.Getenv("LENO_CLUSTER_CACHE")
	if cache == "" {
		var err error
		if cache, err = artifact.DefaultDir(); err != nil {
			return cluster.Harness{}, err
		}
	}
	root := os.Getenv("LENO_CLUSTER_ROOT")
	if root == "" {
		root = cluster.DefaultRoot
	}
	source, err := sourceDir()
	if err != nil {
		return cluster.Harness{}, err
	}
	log := func(format string, args ...any) { fmt.Fprintf(os.Stderr, "\n  "+format+"\n", args...) }
	return cluster.Harness{
		Name: name, Root: root, Source: source, Out: os.Stdout,
		Cache: artifact.Cache{Dir: cache, Log: log},
	}, nil
}

// sourceDir is where this module's sources are: the programs are built from the modules beside this file.
func sourceDir() (string, error) {
	if dir := os.Getenv("LENO_CLUSTER_SOURCE"); dir != "" {
		return filepath.Abs(dir)
	}
	_, file, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(file) {
		return "", errors.New("built with -trimpath: set LENO_CLUSTER_SOURCE to the folder test/cluster")
	}
	return filepath.Dir(file), nil
}

func flags(verb string) *flag.FlagSet { return flag.NewFlagSet("cluster "+verb, flag.ContinueOnError) }

func up(ctx context.Context, h cluster.Harness, args []string) error {
	f := flags("up")
	nodes := f.Int("nodes", 0, "number of nodes (default: as it is, else 1)")
	if err := f.Parse(args); err != nil {
		return err
	}
	return h.Up(ctx, *nodes)
}

func execInside(_ context.Context, h cluster.Harness, args []string) error {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return errors.New("exec: name a command, as in `cluster exec -- curl http://10.96.0.1`")
	}
	return h.Exec(args)
}

func kubeconfig(_ context.Context, h cluster.Harness, _ []string) error {
	path, err := h.Kubeconfig()
	if err == nil {
		fmt.Println(path)
	}
	return err
}

func makeImage(_ context.Context, h cluster.Harness, args []string) error {
	f := flags("image")
	spec := image.Spec{Files: map[string]string{}}
	f.StringVar(&spec.Name, "name", "", "image `name`; without a tag it gets one that stands for its content")
	f.StringVar(&spec.Binary, "bin", "", "`path` of a static binary")
	f.StringVar(&spec.Entrypoint, "entrypoint", "", "`path` of the binary in the image (default /NAME-OF-BINARY)")
	f.StringVar(&spec.User, "user", "", "numeric `uid` or uid:gid (default root)")
	f.Func("link", "further `name` of the binary: beside it, or an absolute path; repeatable", func(s string) error {
		spec.Links = append(spec.Links, s)
		return nil
	})
	f.Func("file", "`src=dst`: a file to add under the absolute path dst; repeatable", func(s string) error {
		src, dst, ok := strings.Cut(s, "=")
		if !ok {
			return errors.New("write src=dst")
		}
		spec.Files[dst] = src
		return nil
	})
	if err := f.Parse(args); err != nil {
		return err
	}
	if spec.Name == "" || spec.Binary == "" {
		return errors.New("image: --name and --bin are needed")
	}
	name, err := h.Image(spec)
	if err == nil {
		fmt.Println(name)
	}
	return err
}

func load(_ context.Context, h cluster.Harness, args []string) error {
	for _, file := range args {
		if err := h.Load(file); err != nil {
			return err
		}
	}
	return nil
}

func node(_ context.Context, h cluster.Harness, args []string) error {
	if len(args) != 2 || (args[0] != "stop-kubelet" && args[0] != "start-kubelet") {
		return errors.New("node: write stop-kubelet NAME or start-kubelet NAME")
	}
	return h.Kubelet(args[1], args[0] == "start-kubelet")
}

func certManager(ctx context.Context, h cluster.Harness, args []string) error {
	f := flags("cert-manager")
	auto := f.Bool("auto-approve", false, "run the approver that approves every CertificateRequest (Leno approves its own)")
	gateways := f.Bool("gateway-api", false, "make Certificates for annotated Gateways; the Gateway API must be there")
	if err := f.Parse(args); err != nil {
		return err
	}
	return h.CertManager(ctx, *auto, *gateways)
}

func gatewayAPI(ctx context.Context, h cluster.Harness, args []string) error {
	f := flags("gateway-api")
	channel := f.String("channel", "standard", "`standard` or experimental")
	if err := f.Parse(args); err != nil {
		return err
	}
	return h.GatewayAPI(ctx, *channel)
}

func assets(_ context.Context, h cluster.Harness, _ []string) error {
	dir, err := h.Cache.Get(artifact.Kube(h.Source))
	if err == nil {
		fmt.Println(dir)
	}
	return err
}
