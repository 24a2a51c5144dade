//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/mesh"
)

const edge = `
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: edge}
spec: {selfSigned: {}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: edge
  annotations: {cert-manager.io/issuer: edge}
spec:
  gatewayClassName: leno
  listeners:
  - {name: http, port: 80, protocol: HTTP}
  - name: https
    port: 443
    protocol: HTTPS
    hostname: shop.example.com
    tls:
      certificateRefs: [{name: edge-tls}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: edge}
spec:
  parentRefs: [{name: edge}]
  rules:
  - backendRefs: [{name: frontend, port: 80}]
`

// TestGateway: requests from outside reach the mesh with the gateway's identity, its certificate comes from cert-manager for an annotation,
// and new pods of it cost nobody a request.
func TestGateway(t *testing.T) {
	ns := namespace(t, "gateway")
	shop(t, ns)
	apply(t, ns, edge)
	approve(t, ns)
	address := programmed(t, ns, "edge")
	roots := authorities(t, ns, "edge-tls")
	t.Run("HTTPS", func(t *testing.T) { overTLS(t, address, roots) })
	t.Run("identity", func(t *testing.T) { fromGateway(t, ns, address) })
	t.Run("rolling restart", func(t *testing.T) { gatewayRestart(t, ns, address) })
}

// approve stands in for an approver: whoever runs cert-manager decides who approves (docs/decisions/0004).
func approve(t *testing.T, ns string) {
	t.Helper()
	eventually(t, patience, "cert-manager's request for the gateway's certificate", func(ctx context.Context) error {
		var list cmapi.CertificateRequestList
		if err := k.List(ctx, &list, client.InNamespace(ns)); err != nil {
			return err
		}
		for i := range list.Items {
			r := &list.Items[i]
			if !strings.HasPrefix(r.Name, "edge-tls") {
				continue
			}
			now := metav1.Now()
			r.Status.Conditions = append(r.Status.Conditions, cmapi.CertificateRequestCondition{
				Type: cmapi.CertificateRequestConditionApproved, Status: cmmeta.ConditionTrue, Reason: "Test", Message: "the test wants it", LastTransitionTime: &now,
			})
			return k.Status().Update(ctx, r)
		}
		return fmt.Errorf("not among %d", len(list.Items))
	})
}

// programmed waits until a Gateway and all its listeners take traffic, and returns its address.
func programmed(t *testing.T, ns, name string) string {
	t.Helper()
	var address string
	eventually(t, patience, "Gateway "+name, func(ctx context.Context) error {
		var g gatewayv1.Gateway
		if err := k.Get(ctx, types.NamespacedName{Namespace: ns, Name: name}, &g); err != nil {
			return err
		}
		for _, c := range g.Status.Conditions {
			if c.Type == "Programmed" && c.Status != "True" {
				return errors.New(c.Message)
			}
		}
		for _, l := range g.Status.Listeners {
			for _, c := range l.Conditions {
				if c.Type == "Programmed" && c.Status != "True" {
					return fmt.Errorf("listener %s: %s", l.Name, c.Message)
				}
			}
		}
		if len(g.Status.Addresses) == 0 || len(g.Status.Listeners) != len(g.Spec.Listeners) {
			return fmt.Errorf("status %s", show(g.Status))
		}
		address = g.Status.Addresses[0].Value
		return nil
	})
	return address
}

// authorities are those that a certificate's Secret names.
func authorities(t *testing.T, ns, name string) *x509.CertPool {
	t.Helper()
	var secret corev1.Secret
	if err := k.Get(t.Context(), types.NamespacedName{Namespace: ns, Name: name}, &secret); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(secret.Data["ca.crt"]) {
		t.Fatalf("Secret %s has no ca.crt", name)
	}
	return roots
}

func overTLS(t *testing.T, address string, roots *x509.CertPool) {
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(address, "443"))
		},
	}
	defer transport.CloseIdleConnections()
	c := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	eventually(t, 30*time.Second, "an answer over HTTPS", func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://shop.example.com/", nil)
		if err != nil {
			return err
		}
		resp, err := c.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK || resp.Proto != "HTTP/2.0" {
			return fmt.Errorf("%s %s", resp.Proto, resp.Status)
		}
		return nil
	})
}

// outside runs the load generator from outside of the cluster's pods.
func outside(ctx context.Context, address string, flags ...string) (result, error) {
	out, err := exec.CommandContext(ctx, "../../bin/leno-shop", append([]string{"load", "--url=http://" + address + "/"}, flags...)...).CombinedOutput()
	r, parseErr := parse(string(out))
	if parseErr != nil {
		return r, errors.Join(parseErr, err)
	}
	return r, nil // failed requests are in the result
}

// fromGateway reads what frontend's sidecar counted: the gateway called, and proved it.
func fromGateway(t *testing.T, ns, address string) {
	r, err := outside(t.Context(), address, "--rate=50", "--for=2s")
	if err != nil {
		t.Fatal(err)
	}
	lossless(t, r, 50)
	for _, pod := range pods(t, ns, "frontend") {
		for line := range strings.Lines(metrics(t, pod)) {
			if strings.HasPrefix(line, "leno_requests_total{") && strings.Contains(line, `direction="inbound"`) &&
				strings.Contains(line, `mtls="true"`) && strings.Contains(line, `source="`+ns+`/`+mesh.GatewayResource("edge")+`"`) {
				return
			}
		}
	}
	t.Error("no sidecar of frontend counted a request of the gateway's identity")
}

func gatewayRestart(t *testing.T, ns, address string) {
	type outcome struct {
		result
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		r, err := outside(t.Context(), address, "--rate=200", "--for=30s")
		done <- outcome{r, err}
	}()
	restart(t, ns, mesh.GatewayResource("edge"))
	available(t, ns)
	o := <-done
	if o.err != nil {
		t.Fatal(o.err)
	}
	lossless(t, o.result, 4000)
}
