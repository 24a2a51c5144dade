package certificates

import (
	"context"
	"fmt"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// reviewer carries out what Judge says about the CertificateRequests in leno-system. It runs on the leader.
type reviewer struct {
	reader client.Reader // cert-manager's kinds
	client client.Client
	events events.EventRecorder
	now    func() time.Time
}

// Reconcile looks at one request.
func (v *reviewer) Reconcile(ctx context.Context, req reconcile.Request) (ctrl.Result, error) {
	var r cmapi.CertificateRequest
	if err := v.reader.Get(ctx, req.NamespacedName, &r); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	c := Case{Now: v.now(), Request: &r}
	if err := v.findOwner(ctx, &c); err != nil {
		return ctrl.Result{}, err
	}
	verdict := Judge(c)
	var err error
	switch verdict.Action {
	case Leave:
	case Delete:
		err = client.IgnoreNotFound(v.client.Delete(ctx, &r, client.Preconditions{UID: &r.UID}))
	case Approve, Deny:
		decide(&r, verdict.Action == Approve, verdict.Reason, metav1.NewTime(c.Now))
		if err = v.client.Status().Update(ctx, &r); err == nil && verdict.Action == Deny {
			v.events.Eventf(&r, nil, corev1.EventTypeWarning, "CertificateDenied", "Review", "%s", verdict.Reason)
		}
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("%s CertificateRequest %s: %w", verdict.Action, r.Name, err)
	}
	return ctrl.Result{RequeueAfter: verdict.Again}, nil
}

// findOwner fills in the Certificate that controls the request, compared by UID: names come back, objects do not.
func (v *reviewer) findOwner(ctx context.Context, c *Case) error {
	ref := metav1.GetControllerOf(c.Request)
	if ref == nil || ref.Kind != cmapi.CertificateKind {
		return nil
	}
	var owner cmapi.Certificate
	if err := v.reader.Get(ctx, own(ref.Name), &owner); err != nil {
		return client.IgnoreNotFound(err)
	}
	if owner.UID != ref.UID {
		return nil
	}
	c.Owner = &owner
	c.Ours = owner.Name == CACertificate || owner.Name == ServingCertificate
	return nil
}
