package certificates

import (
	"context"
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
	key := client.ObjectKeyFromObject(want)
	switch want := want.(type) {
	case *cmapi.Issuer:
		var have cmapi.Issuer
		if err := k.reader.Get(ctx, key, &have); err != nil {
			return k.createIf(ctx, err, want)
		}
		if equality.Semantic.DeepEqual(have.Spec, want.Spec) {
			return nil
		}
		have.Spec = want.Spec
		return k.client.Update(ctx, &have)
	case *cmapi.Certificate:
		var have cmapi.Certificate
		if err := k.reader.Get(ctx, key, &have); err != nil {
			return k.createIf(ctx, err, want)
		}
		if equality.Semantic.DeepEqual(have.Spec, want.Spec) {
			return nil
		}
		have.Spec = want.Spec
		return k.client.Update(ctx, &have)
	}
	return fmt.Errorf("not a kind of the chain")
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
