package gateways

import (
	"context"
	"log/slog"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/status"
)

// problem is why a Gateway cannot have what it needs, until somebody does something about it.
type problem struct {
	reason  string // one of the reasons
	message string // for people: what is wrong and what to do
}

// Error is the message.
func (p problem) Error() string { return p.message }

// The reasons of Events on a Gateway.
const (
	// reasonNameTaken: an object of somebody else has the name that is needed.
	reasonNameTaken = status.ReasonNameTaken
	// reasonRefused: the API server refuses an object, for what parameters say or for a quota.
	reasonRefused = "Refused"
	// reasonNotAssigned: the Service cannot have the ClusterIPs that the Gateway asks for.
	reasonNotAssigned = status.ReasonAddressNotAssigned
	// reasonWithdrawn: the Gateway lost what was made for it.
	reasonWithdrawn = "Withdrawn"
)

// tell lets the owner of a Gateway know what is wrong, once.
func (k *Keeper) tell(ctx context.Context, g *mesh.Gateway, p problem) {
	k.mu.Lock()
	before := k.problems[g.Name]
	k.problems[g.Name] = p
	k.mu.Unlock()
	if p == before {
		return
	}
	slog.WarnContext(ctx, "a Gateway cannot have what it needs", "gateway", g.String(), "reason", p.reason, "message", p.message)
	k.Events.Eventf(eventObject(g.Name, g.Infrastructure.UID), nil, corev1.EventTypeWarning, p.reason, "Provision", "%s", p.message)
}

// settle forgets what was wrong with a Gateway.
func (k *Keeper) settle(name mesh.Name) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.problems, name)
}

// eventObject is a Gateway as far as Events need it.
func eventObject(name mesh.Name, uid string) *gatewayv1.Gateway {
	return &gatewayv1.Gateway{
		TypeMeta:   metav1.TypeMeta{APIVersion: gatewayv1.GroupVersion.String(), Kind: "Gateway"},
		ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name, UID: types.UID(uid)},
	}
}
