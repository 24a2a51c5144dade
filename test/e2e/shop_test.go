//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/mesh"
)

// TestShop is what the demo shows: sidecars, a split that moves, a canary, identities, and nothing lost in a restart of all.
func TestShop(t *testing.T) {
	ns := namespace(t, "shop")
	shop(t, ns)
	t.Run("pods have a native sidecar", func(t *testing.T) { sidecars(t, ns) })
	t.Run("split", func(t *testing.T) { split(t, ns) })
	t.Run("canary", func(t *testing.T) { canary(t, ns) })
	t.Run("status", func(t *testing.T) { routeStatus(t, ns) })
	t.Run("mutual TLS with identities", func(t *testing.T) { mutualTLS(t, ns) })
	t.Run("trail of unknown destinations", func(t *testing.T) { trail(t, ns) })
	t.Run("rolling restart", func(t *testing.T) { rollingRestart(t, ns) })
	t.Run("control plane away", func(t *testing.T) { withoutManager(t, ns) })
}

func sidecars(t *testing.T, ns string) {
	for _, app := range []string{"frontend", "cart", "catalog", "load"} {
		for _, pod := range pods(t, ns, app) {
			ready := 0
			for _, s := range append(pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses...) {
				if s.Ready && s.State.Running != nil {
					ready++
				}
			}
			first := pod.Spec.InitContainers[0].Name
			if ready != 2 || first != mesh.InitContainer && first != mesh.ProxyContainer {
				t.Errorf("%s: %d of 2 containers run, first init container %s", pod.Name, ready, first)
			}
		}
	}
}

// within tells whether a share of requests went to a version, in points of a hundred.
func within(r result, version string, share, tolerance float64) error {
	got := 100 * float64(r.versions[version]) / float64(max(r.requests, 1))
	if got < share-tolerance || got > share+tolerance {
		return fmt.Errorf("%s got %.1f%% of %d requests, want %.0f±%.0f", version, got, r.requests, share, tolerance)
	}
	return nil
}

func catalogLoad(t *testing.T, ns string, flags ...string) result {
	t.Helper()
	r, err := load(t.Context(), ns, pods(t, ns, "load")[0].Name, append([]string{"--url=http://catalog/", "--rate=200", "--for=3s"}, flags...)...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func split(t *testing.T, ns string) {
	r := catalogLoad(t, ns)
	lossless(t, r, 400)
	if err := within(r, "catalog v2", 10, 5); err != nil {
		t.Error(err)
	}
	var route gatewayv1.HTTPRoute
	key := types.NamespacedName{Namespace: ns, Name: "catalog"}
	weights := func(v1, v2 int32) {
		t.Helper()
		eventually(t, patience, "edit of the route", func(ctx context.Context) error {
			if err := k.Get(ctx, key, &route); err != nil {
				return err
			}
			route.Spec.Rules[1].BackendRefs[0].Weight, route.Spec.Rules[1].BackendRefs[1].Weight = &v1, &v2
			return k.Update(ctx, &route)
		})
	}
	weights(20, 80)
	eventually(t, 30*time.Second, "the split moves", func(context.Context) error {
		r := catalogLoad(t, ns, "--for=2s")
		lossless(t, r, 200)
		return within(r, "catalog v2", 80, 6)
	})
	weights(90, 10)
}

func canary(t *testing.T, ns string) {
	r := catalogLoad(t, ns, "--for=1s", "-H", "X-Canary: yes")
	lossless(t, r, 100)
	if err := within(r, "catalog v2", 100, 0); err != nil {
		t.Error(err)
	}
}

func routeStatus(t *testing.T, ns string) {
	eventually(t, 30*time.Second, "status of the route", func(ctx context.Context) error {
		var route gatewayv1.HTTPRoute
		if err := k.Get(ctx, types.NamespacedName{Namespace: ns, Name: "catalog"}, &route); err != nil {
			return err
		}
		good := 0
		for _, parent := range route.Status.Parents {
			for _, c := range parent.Conditions {
				if c.Status == "True" && c.ObservedGeneration == route.Generation && (c.Type == "Accepted" || c.Type == "ResolvedRefs") {
					good++
				}
			}
		}
		if good != 2 {
			return fmt.Errorf("status of generation %d:\n%s", route.Generation, show(route.Status))
		}
		return nil
	})
}

// mutualTLS reads what the sidecar of cart counted: only frontend called, and proved it.
func mutualTLS(t *testing.T, ns string) {
	calls := 0
	for _, pod := range pods(t, ns, "cart") {
		for line := range strings.Lines(metrics(t, pod)) {
			if !strings.HasPrefix(line, "leno_requests_total{") || !strings.Contains(line, `direction="inbound"`) {
				continue
			}
			calls++
			if !strings.Contains(line, `mtls="true"`) || !strings.Contains(line, `source="`+ns+`/frontend"`) {
				t.Errorf("%s received %s", pod.Name, line)
			}
		}
	}
	if calls == 0 {
		t.Error("cart received nothing")
	}
}

func metrics(t *testing.T, pod corev1.Pod) string {
	t.Helper()
	resp, err := http.Get(fmt.Sprintf("http://%s:%d/metrics", pod.Status.PodIP, mesh.PortHealth))
	if err != nil {
		t.Fatalf("metrics of %s: %v", pod.Name, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("metrics of %s: %v", pod.Name, err)
	}
	return string(text)
}

// trail: whoever connects to an address that the cluster does not know has an Event that says so. Nobody is at this one (RFC 5737).
func trail(t *testing.T, ns string) {
	pod := pods(t, ns, "load")[0]
	if r, err := load(t.Context(), ns, pod.Name, "--url=http://192.0.2.1:81/", "--rate=1", "--for=1s"); err == nil && r.requests > r.failed {
		t.Fatalf("somebody answered at 192.0.2.1:81: %+v", r)
	}
	eventually(t, patience, "Event of the connection", func(ctx context.Context) error {
		var list corev1.EventList
		if err := k.List(ctx, &list, client.InNamespace(ns)); err != nil {
			return err
		}
		for _, e := range list.Items {
			if e.Reason == "UnknownDestination" && e.InvolvedObject.UID == pod.UID && strings.Contains(e.Message, "192.0.2.1:81") {
				return nil
			}
		}
		return fmt.Errorf("not among %d Events", len(list.Items))
	})
}

// restart begins to replace all pods of a Deployment, as kubectl rollout restart does.
func restart(t *testing.T, ns, name string) {
	t.Helper()
	patch := fmt.Sprintf(`{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":%q}}}}}`, time.Now().Format(time.RFC3339Nano))
	if err := k.Patch(t.Context(), deployment(ns, name), client.RawPatch(types.StrategicMergePatchType, []byte(patch))); err != nil {
		t.Fatal(err)
	}
}

// rollingRestart replaces every pod of the shop while 200 requests per second go through all of it.
func rollingRestart(t *testing.T, ns string) {
	wait := background(t, ns, pods(t, ns, "load")[0].Name, "--url=http://frontend/", "--rate=200", "--for=45s")
	for _, name := range []string{"catalog-v1", "catalog-v2", "cart", "frontend"} {
		restart(t, ns, name)
	}
	available(t, ns)
	lossless(t, wait(), 4000)
}

// withoutManager kills all replicas of the manager, again and again, under load.
func withoutManager(t *testing.T, ns string) {
	wait := background(t, ns, pods(t, ns, "load")[0].Name, "--url=http://frontend/", "--rate=100", "--for=20s")
	now := int64(0)
	for range 3 {
		err := k.DeleteAllOf(t.Context(), &corev1.Pod{}, client.InNamespace(mesh.SystemNamespace), client.MatchingLabels(managerLabels(t)),
			&client.DeleteAllOfOptions{DeleteOptions: client.DeleteOptions{GracePeriodSeconds: &now}})
		if err != nil {
			t.Fatal(err)
		}
	}
	lossless(t, wait(), 1000)
	available(t, mesh.SystemNamespace)
}
