package xds

import (
	"math"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/leno-mesh/leno/internal/mesh"
)

// setTraffic says what a policy wants of all requests to a service port: sessions and a budget for retries.
func setTraffic(m *mesh.Mesh, c *clusterv3.Cluster, port *mesh.Port, facts fields) {
	if p := kept(m, port.Persistence); p != nil {
		facts.nested("persistence", sessions(p, clusterKey(m.Settings.SessionKey, c.Name)))
	}
	if b := port.RetryBudget; b != nil {
		facts.nested("retry_budget", fields{}.number("percent", float64(b.Percent)).number("interval", milliseconds(b.Interval)).
			number("min_retries", float64(b.MinRetries)).number("min_interval", milliseconds(b.MinInterval)))
		c.CircuitBreakers = retryBreaker(b)
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Milliseconds()) }

// retryBreaker is as near as Envoy comes to a budget: it looks at requests in flight rather than at those of an interval. What a second
// may have of retries in any case, they may be at a time.
func retryBreaker(b *mesh.RetryBudget) *clusterv3.CircuitBreakers {
	perSecond := math.Ceil(float64(b.MinRetries) / b.MinInterval.Seconds())
	return &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
		RetryBudget: &clusterv3.CircuitBreakers_Thresholds_RetryBudget{
			BudgetPercent:       &typev3.Percent{Value: float64(b.Percent)},
			MinRetryConcurrency: wrapperspb.UInt32(uint32(min(perSecond, math.MaxInt32))),
		},
	}}}
}
