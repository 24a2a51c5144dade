package certificates

import (
	"cmp"
	"context"
	"fmt"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leno-mesh/leno/api/v1alpha1"
)

// Settings is what the Mesh says about certificates, with defaults filled in.
type Settings struct {
	TrustDomain string
	// Issuer signs for workloads. Own tells that it is the operator's.
	Issuer   cmmeta.IssuerReference
	Own      bool
	Lifetime time.Duration
}

// SettingsOf reads the Mesh; defaults when there is none.
func SettingsOf(ctx context.Context, c client.Reader) (Settings, error) {
	var m v1alpha1.Mesh
	if err := c.Get(ctx, client.ObjectKey{Name: v1alpha1.MeshName}, &m); err != nil && !apierrors.IsNotFound(err) {
		return Settings{}, fmt.Errorf("read Mesh %s: %w", v1alpha1.MeshName, err)
	}
	return settingsOf(&m), nil
}

func settingsOf(m *v1alpha1.Mesh) Settings {
	s := Settings{
		TrustDomain: cmp.Or(m.Spec.TrustDomain, "cluster.local"),
		Issuer:      issuerRef(MeshIssuer),
		Own:         true,
		Lifetime:    24 * time.Hour,
	}
	if d := m.Spec.Certificate.Lifetime; d != nil {
		s.Lifetime = d.Duration
	}
	if ref := m.Spec.IssuerRef; ref != nil {
		s.Own = false
		s.Issuer = cmmeta.IssuerReference{
			Name: ref.Name, Kind: cmp.Or(ref.Kind, cmapi.IssuerKind), Group: cmp.Or(ref.Group, "cert-manager.io"),
		}
	}
	return s
}
