package certificates

import (
	"context"
	"errors"
	"fmt"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

//+kubebuilder:rbac:groups=cert-manager.io,namespace=leno-system,resources=issuers;certificates,verbs=get;list;watch;create;update

// chainKeeper makes the Issuers and Certificates of the chain and undoes changes to them. It runs on the leader.
type chainKeeper struct {
	reader client.Reader // cert-manager's kinds
	client client.Client
}

// Reconcile looks at all of them.
func (k *chainKeeper) Reconcile(ctx context.Context, _ reconcile.Request) (ctrl.Result, error) {
	for _, want := range chain() {
		if err := k.ensure(ctx, want); err != nil {
			return ctrl.Result{}, fmt.Errorf("%T %s: %w", want, want.GetName(), err)
		}
	}
	return ctrl.Result{}, nil
}

func (k *chainKeeper) ensure(ctx context.Context, want client.Object) error {
	switch want := want.(type) {
	case *cmapi.Issuer:
		return ensureSpec(ctx, k, want, &cmapi.Issuer{}, func(i *cmapi.Issuer) *cmapi.IssuerSpec { return &i.Spec })
	case *cmapi.Certificate:
		return ensureSpec(ctx, k, want, &cmapi.Certificate{}, func(c *cmapi.Certificate) *cmapi.CertificateSpec { return &c.Spec })
	}
	return errors.New("not a kind of the chain")
}

// ensureSpec makes the object, or gives it the wanted spec; have is an empty one to read into.
func ensureSpec[T client.Object, S any](ctx context.Context, k *chainKeeper, want, have T, spec func(T) *S) error {
	if err := k.reader.Get(ctx, client.ObjectKeyFromObject(want), have); err != nil {
		return k.createIf(ctx, err, want)
	}
	if equality.Semantic.DeepEqual(spec(have), spec(want)) {
		return nil
	}
	*spec(have) = *spec(want)
	return k.client.Update(ctx, have)
}

func (k *chainKeeper) createIf(ctx context.Context, err error, want client.Object) error {
	if !apierrors.IsNotFound(err) {
		return err
	}
	if err := k.client.Create(ctx, want); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	return nil
}
