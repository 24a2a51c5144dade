package beyond

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
)

// eventually polls until check has no complaint, for as long as the suite gives listeners. The last complaint is the reason of a failure.
func eventually(t *testing.T, s *suite.ConformanceTestSuite, what string, check func(ctx context.Context) error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), s.TimeoutConfig.DefaultPollInterval, s.TimeoutConfig.GatewayListenersMustHaveConditions, true,
		func(ctx context.Context) (bool, error) {
			// A request that the end of the time cuts short says nothing new.
			if found := check(ctx); ctx.Err() == nil {
				last = found
			}
			return last == nil, nil
		})
	require.NoError(t, err, "%s: %v", what, last)
}

// unsatisfied complains unless a condition of the object's current generation has the wanted type, status and reason.
func unsatisfied(obj client.Object, conditions []metav1.Condition, want metav1.Condition) error {
	for _, c := range conditions {
		if c.Type == want.Type && c.Status == want.Status && c.Reason == want.Reason && c.ObservedGeneration == obj.GetGeneration() {
			return nil
		}
	}
	return fmt.Errorf("generation %d has conditions %+v", obj.GetGeneration(), conditions)
}

func wish(want metav1.Condition) string {
	return fmt.Sprintf("must have %s=%s with reason %s", want.Type, want.Status, want.Reason)
}

// gatewayOnceSettled waits for the condition and returns the Gateway that has it.
func gatewayOnceSettled(t *testing.T, s *suite.ConformanceTestSuite, name types.NamespacedName, want metav1.Condition) gatewayv1.Gateway {
	t.Helper()
	gateway := gatewayv1.Gateway{}
	eventually(t, s, "Gateway "+name.String()+" "+wish(want), func(ctx context.Context) error {
		if err := s.Client.Get(ctx, name, &gateway); err != nil {
			return err
		}
		return unsatisfied(&gateway, gateway.Status.Conditions, want)
	})
	return gateway
}

// listenerMustHave waits for a condition of one listener.
func listenerMustHave(t *testing.T, s *suite.ConformanceTestSuite, name types.NamespacedName, listener gatewayv1.SectionName, want metav1.Condition) {
	t.Helper()
	eventually(t, s, fmt.Sprintf("listener %s of Gateway %s %s", listener, name, wish(want)), func(ctx context.Context) error {
		gateway := gatewayv1.Gateway{}
		if err := s.Client.Get(ctx, name, &gateway); err != nil {
			return err
		}
		for _, status := range gateway.Status.Listeners {
			if status.Name == listener {
				return unsatisfied(&gateway, status.Conditions, want)
			}
		}
		return fmt.Errorf("its status has listeners %+v", gateway.Status.Listeners)
	})
}

// serviceParentMustHave waits for a condition of a route about the Service that is its parent. statusOf reads the route's status out of
// the object, whose kind it knows.
func serviceParentMustHave(t *testing.T, s *suite.ConformanceTestSuite, route client.Object, statusOf func() gatewayv1.RouteStatus, want metav1.Condition) {
	t.Helper()
	name := client.ObjectKeyFromObject(route)
	eventually(t, s, fmt.Sprintf("%T %s %s", route, name, wish(want)), func(ctx context.Context) error {
		if err := s.Client.Get(ctx, name, route); err != nil {
			return err
		}
		for _, parent := range statusOf().Parents {
			if parent.ParentRef.Kind != nil && *parent.ParentRef.Kind == "Service" {
				return unsatisfied(route, parent.Conditions, want)
			}
		}
		return fmt.Errorf("its status has parents %+v", statusOf().Parents)
	})
}

func condition(kind string, status metav1.ConditionStatus, reason string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason}
}

func named(namespace, name string) types.NamespacedName {
	return types.NamespacedName{Namespace: namespace, Name: name}
}
