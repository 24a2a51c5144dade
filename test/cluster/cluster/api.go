package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/leno-mesh/leno/test/cluster/host"
	"github.com/leno-mesh/leno/test/cluster/layout"
)

// api asks the API server questions from outside the cluster's namespaces, as the administrator.
type api struct {
	server string
	http   *http.Client
}

func newAPI(c layout.Cluster) (*api, error) {
	cert, err := tls.LoadX509KeyPair(filepath.Join(c.PKI(), "admin.crt"), filepath.Join(c.PKI(), "admin.key"))
	if err != nil {
		return nil, fmt.Errorf("administrator's certificate: %w", err)
	}
	ca, err := os.ReadFile(filepath.Join(c.PKI(), "ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("cluster authority: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	transport := &http.Transport{
		DialContext:     host.Dialer(c.ControlPlane().NetNS),
		TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: roots},
	}
	return &api{server: c.Server(), http: &http.Client{Transport: transport, Timeout: 5 * time.Second}}, nil
}

// get decodes the answer into out unless that is nil.
func (a *api) get(ctx context.Context, path string, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.server+path, nil)
	if err != nil {
		return err
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
		return fmt.Errorf("GET %s: %s: %s", path, resp.Status, body)
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

// wait asks until cond is nil or the time is up; then cond's last error is the answer.
func wait(ctx context.Context, limit time.Duration, cond func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(150 * time.Millisecond)
	defer tick.Stop()
	for {
		err := cond(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not within %s: %w", limit, err)
		case <-tick.C:
		}
	}
}

type nodeList struct {
	Items []struct {
		Metadata struct{ Name string }
		Status   struct {
			Addresses  []struct{ Type, Address string }
			Conditions []condition
		}
	}
}

type condition struct{ Type, Status, Reason, Message string }

var errNoNode = errors.New("not registered")

// nodeReady: nil when the node is Ready, else why not.
func (l nodeList) nodeReady(name string) error {
	for _, item := range l.Items {
		if item.Metadata.Name != name {
			continue
		}
		for _, c := range item.Status.Conditions {
			if c.Type == "Ready" && c.Status == "True" {
				return nil
			} else if c.Type == "Ready" {
				return fmt.Errorf("node %s: %s: %s", name, c.Reason, c.Message)
			}
		}
	}
	return fmt.Errorf("node %s: %w", name, errNoNode)
}

// registered: nil when the node has an address, which kube-proxy reads once, at its start.
func (l nodeList) registered(name string) error {
	for _, item := range l.Items {
		if item.Metadata.Name == name && len(item.Status.Addresses) > 0 {
			return nil
		}
	}
	return fmt.Errorf("node %s: %w", name, errNoNode)
}

// available: nil when the Deployment has rolled out, else why not.
func (a *api) available(ctx context.Context, namespace, name string) error {
	var d struct {
		Metadata struct{ Generation int64 }
		Spec     struct{ Replicas int }
		Status   struct {
			ObservedGeneration                           int64
			Replicas, UpdatedReplicas, AvailableReplicas int
		}
	}
	if err := a.get(ctx, "/apis/apps/v1/namespaces/"+namespace+"/deployments/"+name, &d); err != nil {
		return err
	}
	s := d.Status
	if s.ObservedGeneration < d.Metadata.Generation || s.UpdatedReplicas < d.Spec.Replicas || s.AvailableReplicas < s.UpdatedReplicas || s.Replicas > s.UpdatedReplicas {
		return fmt.Errorf("deployment %s/%s: %d of %d replicas available", namespace, name, s.AvailableReplicas, d.Spec.Replicas)
	}
	return nil
}
