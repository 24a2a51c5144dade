//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leno-mesh/leno/api/v1alpha1"
)

// sleeper is a Deployment that serves and can be used as a client.
const sleeper = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: sleeper}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: sleeper}
spec:
  replicas: 1
  selector: {matchLabels: {app: sleeper}}
  template:
    metadata: {labels: {app: sleeper}}
    spec:
      serviceAccountName: sleeper
      containers:
      - {name: shop, image: "leno-shop:dev", args: [serve], env: [{name: SERVICE, value: sleeper}]}
`

const stateful = `
apiVersion: v1
kind: Service
metadata: {name: peers}
spec:
  clusterIP: None
  selector: {app: peers}
  ports: [{name: http, port: 8080, appProtocol: http}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: peers}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: peers}
spec:
  serviceName: peers
  replicas: 2
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: peers}}
  template:
    metadata: {labels: {app: peers}}
    spec:
      serviceAccountName: peers
      containers:
      - name: shop
        image: leno-shop:dev
        args: [serve]
        env: [{name: SERVICE, value: peers}]
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 1}
`

// TestStatefulSet: peers reach each other and themselves by name and by address, over mutual TLS.
func TestStatefulSet(t *testing.T) {
	ns := namespace(t, "peers")
	apply(t, ns, stateful)
	address := map[string]string{}
	eventually(t, patience, "two peers", func(ctx context.Context) error {
		var list corev1.PodList
		if err := k.List(ctx, &list, client.InNamespace(ns)); err != nil {
			return err
		}
		for _, pod := range list.Items {
			for _, c := range pod.Status.Conditions {
				if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
					address[pod.Name] = pod.Status.PodIP
				}
			}
		}
		if len(address) != 2 {
			return fmt.Errorf("%d ready", len(address))
		}
		return nil
	})
	for name, url := range map[string]string{
		"peer by name":      "http://peers-1.peers:8080/",
		"peer by address":   "http://" + address["peers-1"] + ":8080/",
		"itself by name":    "http://peers-0.peers:8080/",
		"itself by address": "http://" + address["peers-0"] + ":8080/",
	} {
		r, err := load(t.Context(), ns, "peers-0", "--url="+url, "--rate=50", "--for=1s")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		lossless(t, r, 20)
	}
	text := metrics(t, pods(t, ns, "peers")[1])
	if !regexp.MustCompile(`leno_requests_total\{[^}]*direction="inbound"[^}]*mtls="true"[^}]*source="` + ns + `/peers"`).MatchString(text) {
		t.Error("peers-1 received nothing over mutual TLS")
	}
}

const job = `
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec:
  completions: 3
  parallelism: 3
  backoffLimit: 0
  template:
    metadata: {labels: {app: once}}
    spec:
      restartPolicy: Never
      containers:
      - {name: shop, image: "leno-shop:dev", args: [load, --rate=20, --for=1s, "--url=http://sleeper/"]}
---
apiVersion: v1
kind: Service
metadata: {name: sleeper}
spec:
  selector: {app: sleeper}
  ports: [{name: http, port: 80, targetPort: 8080, appProtocol: http}]
`

// TestJob: a program whose first act is a call succeeds at once, and its pods end with it.
func TestJob(t *testing.T) {
	ns := namespace(t, "job")
	apply(t, ns, sleeper)
	available(t, ns)
	apply(t, ns, job)
	eventually(t, patience, "the job completes", func(ctx context.Context) error {
		var j batchv1.Job
		if err := k.Get(ctx, types.NamespacedName{Namespace: ns, Name: "once"}, &j); err != nil {
			return err
		}
		if j.Status.Failed > 0 {
			t.Fatalf("%d of its pods failed", j.Status.Failed)
		}
		if j.Status.Succeeded != 3 {
			return fmt.Errorf("%d of 3 succeeded, %d active", j.Status.Succeeded, j.Status.Active)
		}
		return nil
	})
}

// probed has one container per kind of probe, for readiness and liveness.
const probed = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: probed}
spec:
  replicas: 1
  selector: {matchLabels: {app: probed}}
  template:
    metadata: {labels: {app: probed}}
    spec:
      containers:
      - name: shop
        image: leno-shop:dev
        args: [serve]
        env: [{name: SERVICE, value: probed}, {name: PORT, value: "8000"}]
        readinessProbe: {httpGet: {path: /healthz, port: 8000}, periodSeconds: 1}
        livenessProbe: {httpGet: {path: /healthz, port: 8000}, periodSeconds: 1, failureThreshold: 2}
      - name: tcp
        image: &echo registry.k8s.io/gateway-api/conformance/echo-advanced:v0.1.0
        args: [--port=8101, --tcp=8102, --grpc=8103]
        readinessProbe: {tcpSocket: {port: 8102}, periodSeconds: 1}
        livenessProbe: {tcpSocket: {port: 8102}, periodSeconds: 1, failureThreshold: 2}
      - name: https
        image: *echo
        args: [--port=8201, --tls=8201, --tcp=8202, --grpc=8203]
        readinessProbe: {httpGet: {path: /, port: 8201, scheme: HTTPS}, periodSeconds: 1}
        livenessProbe: {httpGet: {path: /, port: 8201, scheme: HTTPS}, periodSeconds: 1, failureThreshold: 2}
      - name: grpc
        image: *echo
        args: [--port=8301, --tcp=8302, --grpc=8303]
        readinessProbe: {grpc: {port: 8303}, periodSeconds: 1}
        livenessProbe: {grpc: {port: 8303}, periodSeconds: 1, failureThreshold: 2}
`

// TestProbes: the kubelet's probes of each kind and container work through the sidecar, with strict mutual TLS too.
func TestProbes(t *testing.T) {
	ns := namespace(t, "probes")
	apply(t, ns, probed)
	available(t, ns)
	settings(t, func(m *v1alpha1.Mesh) { m.Spec.MTLS.Mode = v1alpha1.MTLSStrict })
	before := restarts(pods(t, ns, "probed")[0])
	eventually(t, 30*time.Second, "several rounds of probes in strict mode", func(context.Context) error {
		pod := pods(t, ns, "probed")[0]
		if now := restarts(pod); now != before {
			t.Fatalf("a liveness probe failed: %d restarts\n%s", now, show(pod.Status))
		}
		for _, c := range pod.Status.ContainerStatuses {
			if !c.Ready {
				t.Fatalf("container %s is not ready", c.Name)
			}
		}
		if since := time.Since(pod.Status.StartTime.Time); since < 15*time.Second {
			return fmt.Errorf("the pod is %s old", since)
		}
		return nil
	})
}

func restarts(pod corev1.Pod) (n int32) {
	for _, c := range pod.Status.ContainerStatuses {
		n += c.RestartCount
	}
	return n
}

// settings changes the Mesh for one test.
func settings(t *testing.T, change func(*v1alpha1.Mesh)) {
	t.Helper()
	var before v1alpha1.MeshSpec
	update := func(ctx context.Context, change func(*v1alpha1.Mesh)) error {
		var m v1alpha1.Mesh
		if err := k.Get(ctx, types.NamespacedName{Name: v1alpha1.MeshName}, &m); err != nil {
			return err
		}
		before = *m.Spec.DeepCopy()
		change(&m)
		return k.Update(ctx, &m)
	}
	eventually(t, patience, "the Mesh changes", func(ctx context.Context) error { return update(ctx, change) })
	was := before
	t.Cleanup(func() {
		err := errors.New("not tried")
		for range 5 { // somebody else may write in between
			if err = update(context.Background(), func(m *v1alpha1.Mesh) { m.Spec = was }); err == nil {
				return
			}
		}
		t.Errorf("the Mesh keeps the settings of this test: %v", err)
	})
}

// TestRenewal: certificates that live for a minute are renewed under load, and nothing is lost.
func TestRenewal(t *testing.T) {
	ns := namespace(t, "renewal")
	settings(t, func(m *v1alpha1.Mesh) {
		m.Spec.Certificate.Lifetime = &metav1.Duration{Duration: time.Minute}
	})
	apply(t, ns, sleeper)
	apply(t, ns, strings.ReplaceAll(sleeper, "sleeper", "caller"))
	apply(t, ns, `
apiVersion: v1
kind: Service
metadata: {name: sleeper}
spec:
  selector: {app: sleeper}
  ports: [{name: http, port: 80, targetPort: 8080, appProtocol: http}]
`)
	available(t, ns)
	before := notAfter(t, pods(t, ns, "sleeper")[0])
	lossless(t, func() result {
		r, err := load(t.Context(), ns, pods(t, ns, "caller")[0].Name, "--url=http://sleeper/", "--rate=100", "--for=55s")
		if err != nil {
			t.Fatal(err)
		}
		return r
	}(), 4000)
	if after := notAfter(t, pods(t, ns, "sleeper")[0]); after <= before {
		t.Errorf("the certificate was not renewed: it ended at %f and ends at %f", before, after)
	}
}

var expiry = regexp.MustCompile(`(?m)^leno_certificate_expiry_timestamp_seconds (\S+)$`)

// notAfter is the end of the sidecar's certificate, in Unix time.
func notAfter(t *testing.T, pod corev1.Pod) float64 {
	t.Helper()
	found := expiry.FindStringSubmatch(metrics(t, pod))
	if found == nil {
		t.Fatalf("%s does not tell when its certificate ends", pod.Name)
	}
	seconds, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return seconds
}
