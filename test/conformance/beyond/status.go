package beyond

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
)

// eventually polls until check is satisfied, for as long as the suite waits for a Gateway's conditions.
func eventually(t *testing.T, s *suite.ConformanceTestSuite, what string, check func(ctx context.Context) (bool, error)) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), s.TimeoutConfig.DefaultPollInterval, s.TimeoutConfig.GatewayMustHaveCondition, true, check)
	require.NoError(t, err, what)
}

// satisfied says whether a condition of the object's current generation has the wanted type, status and, unless empty, reason.
func satisfied(obj client.Object, conditions []metav1.Condition, want metav1.Condition) bool {
	for _, c := range conditions {
		if c.Type == want.Type {
			return c.Status == want.Status && (want.Reason == "" || c.Reason == want.Reason) && c.ObservedGeneration == obj.GetGeneration()
		}
	}
	return false
}

// gatewayOnceSettled waits for the condition and returns the Gateway that has it.
func gatewayOnceSettled(t *testing.T, s *suite.ConformanceTestSuite, name types.NamespacedName, want metav1.Condition) gatewayv1.Gateway {
	t.Helper()
	gateway := gatewayv1.Gateway{}
	eventually(t, s, "Gateway "+name.String()+" must have "+want.Type+"="+string(want.Status)+" "+want.Reason, func(ctx context.Context) (bool, error) {
		if err := s.Client.Get(ctx, name, &gateway); err != nil {
			return false, err
		}
		return satisfied(&gateway, gateway.Status.Conditions, want), nil
	})
	return gateway
}

// listenerMustHave waits for a condition of one listener.
func listenerMustHave(t *testing.T, s *suite.ConformanceTestSuite, name types.NamespacedName, listener gatewayv1.SectionName, want metav1.Condition) {
	t.Helper()
	what := "listener " + string(listener) + " of Gateway " + name.String() + " must have " + want.Type + "=" + string(want.Status) + " " + want.Reason
	eventually(t, s, what, func(ctx context.Context) (bool, error) {
		gateway := gatewayv1.Gateway{}
		if err := s.Client.Get(ctx, name, &gateway); err != nil {
			return false, err
		}
		for _, status := range gateway.Status.Listeners {
			if status.Name == listener {
				return satisfied(&gateway, status.Conditions, want), nil
			}
		}
		return false, nil
	})
}

// serviceParentMustHave waits for a condition of a route about the Service that is its parent. statusOf reads the route's status out of
// the object, whose kind it knows.
func serviceParentMustHave(t *testing.T, s *suite.ConformanceTestSuite, route client.Object, statusOf func() gatewayv1.RouteStatus, want metav1.Condition) {
	t.Helper()
	name := client.ObjectKeyFromObject(route)
	what := "route " + name.String() + " must have " + want.Type + "=" + string(want.Status) + " " + want.Reason
	eventually(t, s, what, func(ctx context.Context) (bool, error) {
		if err := s.Client.Get(ctx, name, route); err != nil {
			return false, err
		}
		for _, parent := range statusOf().Parents {
			if parent.ParentRef.Kind != nil && *parent.ParentRef.Kind == "Service" && satisfied(route, parent.Conditions, want) {
				return true, nil
			}
		}
		return false, nil
	})
}

func condition(kind string, status metav1.ConditionStatus, reason string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason}
}

func named(namespace, name string) types.NamespacedName {
	return types.NamespacedName{Namespace: namespace, Name: name}
}
