package cluster

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/leno-mesh/leno/test/cluster/artifact"
	"github.com/leno-mesh/leno/test/cluster/image"
)

const (
	certManagerVersion = "v1.21.2"
	certManagerModule  = "github.com/cert-manager/cert-manager@" + certManagerVersion
	certManagerImage   = "leno.dev/cluster/cert-manager"
)

// CertManager deploys cert-manager as its own chart has it, with images made here, and waits until all of it serves.
// Without autoApprove nobody approves certificate requests but who is put there to do it. With gateways it makes Certificates for annotated
// Gateways: the Gateway API must be there.
func (h Harness) CertManager(ctx context.Context, autoApprove, gateways bool) error {
	c, s, err := h.load()
	if err != nil {
		return err
	}
	var dir, chart string
	err = h.step("cert-manager programs", func() (err error) {
		if dir, err = h.Cache.Get(artifact.CertManager(h.Source)); err != nil {
			return err
		}
		chart, err = artifact.ModuleDir(certManagerModule)
		return err
	})
	if err != nil {
		return err
	}
	// A tag that follows the content: pods are replaced when the programs change.
	tag := certManagerVersion + strings.TrimPrefix(filepath.Base(dir), "certmanager")
	err = h.step("cert-manager images", func() error {
		for _, program := range []string{"controller", "cainjector", "webhook"} {
			_, err := h.Image(image.Spec{
				Name: certManagerImage + "-" + program + ":" + tag, Binary: filepath.Join(dir, "certmanager"), Entrypoint: "/" + program, User: "1000",
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = h.step("cert-manager applied", func() error {
		args := []string{"--chart=" + filepath.Join(chart, "deploy", "charts", "cert-manager"), "--images=" + certManagerImage, "--tag=" + tag, "--version=" + certManagerVersion}
		out, err := exec.Command(filepath.Join(dir, "manifests"), append(args, fmt.Sprintf("--auto-approve=%t", autoApprove), fmt.Sprintf("--gateway-api=%t", gateways))...).Output()
		if err != nil {
			return fmt.Errorf("render the chart: %w", err)
		}
		return h.apply(c, s, string(out))
	})
	if err != nil {
		return err
	}
	client, err := newAPI(c)
	if err != nil {
		return err
	}
	return h.step("cert-manager ready", func() error {
		for _, name := range []string{"cert-manager", "cert-manager-cainjector", "cert-manager-webhook"} {
			err := wait(ctx, 2*time.Minute, func(ctx context.Context) error { return client.available(ctx, "cert-manager", name) })
			if err != nil {
				return err
			}
		}
		return wait(ctx, time.Minute, func(context.Context) error {
			// The webhook answers only once cainjector has told the API server whom to trust.
			return h.kubectl(c, s, probeIssuer, "create", "--dry-run=server", "-f", "-")
		})
	})
}

const probeIssuer = `{"apiVersion":"cert-manager.io/v1","kind":"Issuer","metadata":{"name":"probe","namespace":"default"},"spec":{"selfSigned":{}}}`
