package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/leno-mesh/leno/api/v1alpha1"
	"github.com/leno-mesh/leno/internal/inject"
	"github.com/leno-mesh/leno/internal/local/runner"
	"github.com/leno-mesh/leno/internal/mesh"
)

func newInject() *cobra.Command {
	var (
		paths  []string
		remove bool
		force  bool
	)
	cmd := &cobra.Command{
		Use:   "inject -f FILE",
		Short: "Put the sidecar into the pods of manifests, as the webhook does",
		Long: `Put the sidecar into the pods of manifests, as the webhook does.

Pods and whatever has a pod template are printed with their sidecar, everything else as it is. The reasons for each
decision go to standard error. Labels of Namespaces count when the Namespace is among the manifests; settings are those of
the Mesh among them, else the defaults.`,
		Example: "  kubectl get deploy web -o yaml | leno inject -f - --enabled | kubectl apply -f -",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(paths) == 0 {
				return errors.New(`name manifests with -f: files, or "-" for standard input`)
			}
			documents, err := readDocuments(paths, cmd.InOrStdin())
			if err != nil {
				return err
			}
			i := newInjection(documents)
			i.remove, i.force = remove, force
			for n, document := range documents {
				text, err := i.document(document, cmd.ErrOrStderr())
				if err != nil {
					return err
				}
				if n > 0 {
					fmt.Fprintln(cmd.OutOrStdout(), "---")
				}
				if _, err := cmd.OutOrStdout().Write(text); err != nil {
					return err
				}
			}
			return i.failed
		},
	}
	filenameFlag(cmd, &paths)
	cmd.Flags().BoolVar(&remove, "remove", false, "take the sidecar out again")
	cmd.Flags().BoolVar(&force, "enabled", false, "as if every Namespace had the label mesh.leno.dev/inject=enabled")
	return cmd
}

// injection is what is known of the manifests as a whole.
type injection struct {
	settings   inject.Settings
	namespaces map[string]map[string]string // labels by name
	remove     bool
	force      bool
	failed     error
}

// readDocuments splits the files into documents, without reading them.
func readDocuments(paths []string, stdin io.Reader) ([][]byte, error) {
	var documents [][]byte
	for _, path := range paths {
		text, err := runner.ReadFile(path, stdin)
		if err != nil {
			return nil, err
		}
		reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
		for {
			document, err := reader.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			if len(bytes.TrimSpace(document)) > 0 {
				documents = append(documents, document)
			}
		}
	}
	return documents, nil
}

func newInjection(documents [][]byte) *injection {
	i := &injection{settings: inject.FromMesh(nil), namespaces: map[string]map[string]string{}}
	for _, document := range documents {
		switch obj := decodeKind(document).(type) {
		case *corev1.Namespace:
			i.namespaces[obj.Name] = obj.Labels
		case *v1alpha1.Mesh:
			i.settings = inject.FromMesh(obj)
		}
	}
	return i
}

// document is one document with the sidecar in its pods; as it was when it has none.
func (i *injection) document(document []byte, reasons io.Writer) ([]byte, error) {
	obj := decodeKind(document)
	owner, template := podOf(obj)
	if template == nil {
		return document, nil
	}
	who := fmt.Sprintf("%s %s", kindOf(obj), strings.TrimPrefix(owner.Namespace+"/"+owner.Name, "/"))
	pod := &corev1.Pod{ObjectMeta: *template.meta, Spec: *template.spec}
	pod.Namespace = owner.Namespace
	if i.remove {
		pod = inject.Remove(pod)
	} else {
		injected, err := i.inject(pod, who, reasons)
		if injected == nil {
			i.failed = errors.Join(i.failed, err)
			return document, nil
		}
		pod = injected
	}
	pod.Namespace = template.meta.Namespace
	*template.meta, *template.spec = pod.ObjectMeta, pod.Spec
	return encode(obj)
}

// inject is nil where the pod gets no sidecar; the error then tells if it should have got one.
func (i *injection) inject(pod *corev1.Pod, who string, reasons io.Writer) (*corev1.Pod, error) {
	decision := inject.Decide(pod, i.namespace(pod.Namespace), i.settings)
	for _, warning := range decision.Warnings {
		fmt.Fprintf(reasons, "%s: warning: %s\n", who, warning)
	}
	if err := decision.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", who, err)
	}
	if !decision.Inject {
		fmt.Fprintf(reasons, "%s: not injected: %s\n", who, strings.Join(decision.Reasons, "; "))
		return nil, nil
	}
	fmt.Fprintf(reasons, "%s: injected: %s\n", who, strings.Join(decision.Reasons, "; "))
	out, err := inject.Apply(pod, i.settings)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", who, err)
	}
	return out, nil
}

func (i *injection) namespace(name string) inject.Namespace {
	ns := inject.Namespace{Name: name, Labels: i.namespaces[name]}
	if ns.Name == "" {
		ns.Name = metav1.NamespaceDefault
	}
	if i.force {
		ns.Labels = map[string]string{mesh.LabelInject: inject.Enabled}
	}
	return ns
}

// decodeKind reads a document into the type that can have pods, or that says something about injection; nil for others.
func decodeKind(document []byte) runtime.Object {
	var head metav1.TypeMeta
	if yaml.Unmarshal(document, &head) != nil {
		return nil
	}
	kinds := map[string]runtime.Object{
		"v1 Pod": &corev1.Pod{}, "v1 Namespace": &corev1.Namespace{}, "v1 ReplicationController": &corev1.ReplicationController{},
		"apps/v1 Deployment": &appsv1.Deployment{}, "apps/v1 StatefulSet": &appsv1.StatefulSet{},
		"apps/v1 DaemonSet": &appsv1.DaemonSet{}, "apps/v1 ReplicaSet": &appsv1.ReplicaSet{},
		"batch/v1 Job": &batchv1.Job{}, "batch/v1 CronJob": &batchv1.CronJob{},
		v1alpha1.GroupVersion.String() + " Mesh": &v1alpha1.Mesh{},
	}
	obj := kinds[head.APIVersion+" "+head.Kind]
	if obj == nil || yaml.Unmarshal(document, obj) != nil {
		return nil
	}
	return obj
}

func kindOf(obj runtime.Object) string { return obj.GetObjectKind().GroupVersionKind().Kind }

// template is where a pod is described inside of an object.
type template struct {
	meta *metav1.ObjectMeta
	spec *corev1.PodSpec
}

// podOf finds the metadata of an object and its pod, which for a Pod is itself; nil when it has none.
func podOf(obj runtime.Object) (metav1.ObjectMeta, *template) {
	of := func(owner metav1.ObjectMeta, pod *corev1.PodTemplateSpec) (metav1.ObjectMeta, *template) {
		if pod == nil {
			return owner, nil
		}
		return owner, &template{&pod.ObjectMeta, &pod.Spec}
	}
	switch o := obj.(type) {
	case *corev1.Pod:
		return o.ObjectMeta, &template{&o.ObjectMeta, &o.Spec}
	case *appsv1.Deployment:
		return of(o.ObjectMeta, &o.Spec.Template)
	case *appsv1.StatefulSet:
		return of(o.ObjectMeta, &o.Spec.Template)
	case *appsv1.DaemonSet:
		return of(o.ObjectMeta, &o.Spec.Template)
	case *appsv1.ReplicaSet:
		return of(o.ObjectMeta, &o.Spec.Template)
	case *corev1.ReplicationController:
		return of(o.ObjectMeta, o.Spec.Template)
	case *batchv1.Job:
		return of(o.ObjectMeta, &o.Spec.Template)
	case *batchv1.CronJob:
		return of(o.ObjectMeta, &o.Spec.JobTemplate.Spec.Template)
	}
	return metav1.ObjectMeta{}, nil
}

// encode writes an object without the empty status that the Go types bring along.
func encode(obj runtime.Object) ([]byte, error) {
	text, err := yaml.Marshal(obj)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kindOf(obj), err)
	}
	var fields map[string]any
	if err := yaml.Unmarshal(text, &fields); err != nil {
		return nil, fmt.Errorf("%s: %w", kindOf(obj), err)
	}
	delete(fields, "status")
	return yaml.Marshal(fields)
}
