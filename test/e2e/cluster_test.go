//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/remotecommand"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/leno-mesh/leno/api/v1alpha1"
	"github.com/leno-mesh/leno/internal/mesh"
)

// samples is the shop that the tests put into namespaces of their own.
const samples = "../../config/samples/shop"

// patience is how long a cluster on two busy cores may take for one step.
const patience = 2 * time.Minute

// cluster is the connection to the cluster; made once.
type cluster struct {
	client.Client
	kube   kubernetes.Interface
	config *rest.Config
}

var k cluster

func TestMain(m *testing.M) {
	if err := connect(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func connect() error {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return fmt.Errorf("set KUBECONFIG to a cluster with Leno in it: %w", err)
	}
	config.QPS, config.Burst = 100, 200
	s := scheme.Scheme
	for _, add := range []func(*runtime.Scheme) error{gatewayv1.Install, cmapi.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(s); err != nil {
			return err
		}
	}
	k.config = config
	if k.Client, err = client.New(config, client.Options{Scheme: s}); err != nil {
		return err
	}
	k.kube, err = kubernetes.NewForConfig(config)
	return err
}

// eventually polls until check returns nil; its last error is the reason of the failure.
func eventually(t *testing.T, limit time.Duration, what string, check func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	ticks := time.NewTicker(250 * time.Millisecond)
	defer ticks.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %s: %v", what, limit, err)
		case <-ticks.C:
		}
	}
}

// namespace makes a namespace for one test, injected, and removes it afterwards.
func namespace(t *testing.T, name string) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "e2e-" + name, Labels: map[string]string{mesh.LabelInject: "enabled"}}}
	eventually(t, patience, "namespace "+ns.Name, func(ctx context.Context) error {
		err := k.Create(ctx, ns.DeepCopy())
		if !apierrors.IsAlreadyExists(err) {
			return err
		}
		_ = k.Delete(ctx, ns.DeepCopy()) // of an earlier run; it takes a while
		return errors.New("an earlier run's is still there")
	})
	t.Cleanup(func() {
		if t.Failed() {
			describe(t, ns.Name)
		}
		if err := k.Delete(context.Background(), ns.DeepCopy()); err != nil {
			t.Errorf("removing namespace %s: %v", ns.Name, err)
		}
	})
	return ns.Name
}

// describe logs what a failed test leaves behind.
func describe(t *testing.T, namespace string) {
	var pods corev1.PodList
	if err := k.List(context.Background(), &pods, client.InNamespace(namespace)); err != nil {
		t.Logf("pods of %s: %v", namespace, err)
		return
	}
	for _, pod := range pods.Items {
		t.Logf("pod %s: %s %+v", pod.Name, pod.Status.Phase, pod.Status.Conditions)
		for _, c := range []string{mesh.ProxyContainer, "shop"} {
			tail := int64(20)
			log, err := k.kube.CoreV1().Pods(namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Container: c, TailLines: &tail}).DoRaw(context.Background())
			if err == nil {
				t.Logf("%s %s:\n%s", pod.Name, c, log)
			}
		}
	}
}

// apply creates the objects of a text of YAML documents in a namespace.
func apply(t *testing.T, namespace, text string) {
	t.Helper()
	for _, document := range documents(text) {
		obj, err := decode(document)
		if err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		obj.SetNamespace(namespace)
		if _, is := obj.(*corev1.Namespace); is {
			continue
		}
		if err := k.Create(t.Context(), obj); err != nil {
			t.Fatalf("%T %s: %v", obj, obj.GetName(), err)
		}
	}
}

func documents(text string) []string {
	var out []string
	for document := range strings.SplitSeq("\n"+text, "\n---") {
		if strings.Contains(document, "kind:") && !strings.Contains(document, "kustomize.config") {
			out = append(out, document)
		}
	}
	return out
}

func decode(document string) (client.Object, error) {
	raw, err := utilyaml.ToJSON([]byte(document))
	if err != nil {
		return nil, err
	}
	obj, _, err := scheme.Codecs.UniversalDeserializer().Decode(raw, nil, nil)
	if err != nil {
		return nil, err
	}
	return obj.(client.Object), nil
}

// shop installs the sample shop into a namespace and waits until it serves.
func shop(t *testing.T, namespace string) {
	t.Helper()
	files, err := filepath.Glob(samples + "/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no samples", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		apply(t, namespace, string(text))
	}
	available(t, namespace)
}

// available waits until all Deployments of a namespace have rolled out.
func available(t *testing.T, namespace string) {
	t.Helper()
	eventually(t, patience, "deployments of "+namespace, func(ctx context.Context) error {
		var list appsv1.DeploymentList
		if err := k.List(ctx, &list, client.InNamespace(namespace)); err != nil {
			return err
		}
		for _, d := range list.Items {
			s := d.Status
			if s.ObservedGeneration < d.Generation || s.UpdatedReplicas < *d.Spec.Replicas || s.AvailableReplicas < *d.Spec.Replicas || s.Replicas > s.UpdatedReplicas {
				return fmt.Errorf("%s: %d of %d available, %d updated, %d there", d.Name, s.AvailableReplicas, *d.Spec.Replicas, s.UpdatedReplicas, s.Replicas)
			}
		}
		return nil
	})
}

// pods lists the live pods with a label app.
func pods(t *testing.T, namespace, app string) []corev1.Pod {
	t.Helper()
	var list corev1.PodList
	if err := k.List(t.Context(), &list, client.InNamespace(namespace), client.MatchingLabels{"app": app}); err != nil {
		t.Fatal(err)
	}
	var live []corev1.Pod
	for _, pod := range list.Items {
		if pod.DeletionTimestamp == nil && pod.Status.Phase == corev1.PodRunning {
			live = append(live, pod)
		}
	}
	if len(live) == 0 {
		t.Fatalf("no pod of app %s in %s", app, namespace)
	}
	return live
}

// run executes a command in a container; the error has what it said.
func run(ctx context.Context, namespace, pod, container string, command ...string) (string, error) {
	req := k.kube.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: container, Command: command, Stdout: true, Stderr: true}, scheme.ParameterCodec)
	executor, err := remotecommand.NewSPDYExecutor(k.config, "POST", req.URL())
	if err != nil {
		return "", err
	}
	var stdout, stderr bytes.Buffer
	if err := executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &stdout, Stderr: &stderr}); err != nil {
		return stdout.String(), fmt.Errorf("%s in %s: %w: %s", strings.Join(command, " "), pod, err, stderr.String())
	}
	return stdout.String(), nil
}

// show is an object as YAML, for failures.
func show(obj any) string {
	text, _ := yaml.Marshal(obj)
	return string(text)
}
