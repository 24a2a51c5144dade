package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
)

// printManifests renders cert-manager's own chart: definitions, RBAC, Deployments, webhook configurations.
func printManifests(_ context.Context, args []string) error {
	flags := pflag.NewFlagSet("manifests", pflag.ContinueOnError)
	dir := flags.String("chart", "", "the chart's folder in cert-manager's module")
	images := flags.String("images", "", "prefix of the image names; -controller, -cainjector and -webhook follow")
	tag := flags.String("tag", "", "tag of the images")
	version := flags.String("version", "", "version shown in labels")
	approve := flags.Bool("auto-approve", false, "leave upstream's approver in, which approves every request")
	gateways := flags.Bool("gateway-api", false, "make Certificates for annotated Gateways")
	if err := flags.Parse(args); err != nil {
		return err
	}
	chart, err := loader.LoadDir(*dir)
	if err != nil {
		return fmt.Errorf("chart: %w", err)
	}
	chart.Metadata.Version, chart.Metadata.AppVersion = *version, *version
	image := func(program string) map[string]any {
		return map[string]any{"repository": *images + "-" + program, "tag": *tag}
	}
	var extra []any
	if *gateways {
		extra = append(extra, "--enable-gateway-api")
	}
	values, err := chartutil.ToRenderValues(chart, map[string]any{
		"crds":                map[string]any{"enabled": true},
		"image":               image("controller"),
		"cainjector":          map[string]any{"image": image("cainjector")},
		"webhook":             map[string]any{"image": image("webhook")},
		"startupapicheck":     map[string]any{"enabled": false},
		"disableAutoApproval": !*approve,
		"extraArgs":           extra,
	}, chartutil.ReleaseOptions{Name: "cert-manager", Namespace: "cert-manager", IsInstall: true, Revision: 1}, nil)
	if err != nil {
		return fmt.Errorf("values: %w", err)
	}
	files, err := engine.Engine{}.Render(chart, values)
	if err != nil {
		return fmt.Errorf("render: %w", err)
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	fmt.Println("apiVersion: v1\nkind: Namespace\nmetadata: {name: cert-manager}")
	for _, name := range names {
		if strings.HasSuffix(name, ".yaml") && strings.TrimSpace(files[name]) != "" {
			fmt.Fprintf(os.Stdout, "---\n%s\n", files[name])
		}
	}
	return nil
}
