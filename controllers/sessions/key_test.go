package sessions

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/leno-mesh/leno/internal/mesh"
)

// All replicas get the same key, those that begin at the same time, too.
func TestKey(t *testing.T) {
	cluster := fake.NewClientBuilder().Build()
	first, err := Key(t.Context(), cluster)
	if err != nil || first == (mesh.SessionKey{}) {
		t.Fatal(first == mesh.SessionKey{}, err)
	}
	early := true
	racing := interceptor.NewClient(cluster, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			if early {
				early, key.Name = false, "not-there-yet"
			}
			return c.Get(ctx, key, obj, opts...)
		},
	})
	for name, replica := range map[string]client.Client{"later": cluster, "at the same time": racing} {
		if second, err := Key(t.Context(), replica); err != nil || second != first {
			t.Errorf("a replica that starts %s has another key, %v", name, err)
		}
	}
}

// A key that somebody has cut or emptied is not used.
func TestBadKey(t *testing.T) {
	for _, bad := range [][]byte{nil, []byte("short"), make([]byte, 32), make([]byte, 33)} {
		cluster := fake.NewClientBuilder().Build()
		if _, err := Key(t.Context(), cluster); err != nil {
			t.Fatal(err)
		}
		var secret corev1.Secret
		if err := cluster.Get(t.Context(), client.ObjectKey{Namespace: mesh.SystemNamespace, Name: Secret}, &secret); err != nil {
			t.Fatal(err)
		}
		secret.Data[field] = bad
		if err := cluster.Update(t.Context(), &secret); err != nil {
			t.Fatal(err)
		}
		if _, err := Key(t.Context(), cluster); err == nil || !strings.Contains(err.Error(), "delete it") {
			t.Errorf("a key of %d octets: %v", len(bad), err)
		}
	}
}
