// Package sessions keeps the key of session persistence: one for all replicas and for all times, so that sessions outlive them
// (docs/decisions/0015).
package sessions

import (
	"context"
	"crypto/rand"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leno-mesh/leno/internal/mesh"
)

// Secret is its name, in the operator's namespace.
const Secret = "leno-session-key"

// field is where in the Secret the key is.
const field = "key"

// Key reads the key, and makes it where there is none. Of several replicas that make one, the first wins. c must not read from a cache.
func Key(ctx context.Context, c client.Client) (key mesh.SessionKey, err error) {
	name := client.ObjectKey{Namespace: mesh.SystemNamespace, Name: Secret}
	var secret corev1.Secret
	err = c.Get(ctx, name, &secret)
	if apierrors.IsNotFound(err) {
		_, _ = rand.Read(key[:]) // never fails
		secret = corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name},
			Data:       map[string][]byte{field: key[:]},
		}
		if err = c.Create(ctx, &secret); apierrors.IsAlreadyExists(err) {
			err = c.Get(ctx, name, &secret)
		}
	}
	if err != nil {
		return mesh.SessionKey{}, fmt.Errorf("key of session persistence, Secret %s: %w", name, err)
	}
	if got := secret.Data[field]; len(got) != len(key) || copy(key[:], got) != len(key) || key == (mesh.SessionKey{}) {
		return mesh.SessionKey{}, fmt.Errorf("key of session persistence: Secret %s has no %d random octets in %q: delete it, and Leno makes another", name, len(key), field)
	}
	return key, nil
}
