package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
)

const validTraffic = `{"name": "x", "type": "EDS", "lbPolicy": "LEAST_REQUEST", "circuitBreakers": {"thresholds": [{"retryBudget": {}}]},
	"metadata": {"filterMetadata": {"dev.leno.cluster": {
		"persistence": {"header": "place", "key": "` + sessionKey + `"},
		"retry_budget": {"percent": 20, "interval": 10000, "min_retries": 5, "min_interval": 500}}}}}`

func TestTraffic(t *testing.T) {
	r, err := config.Decode(config.ClusterType, "x", "1", encode(t, config.ClusterType, validTraffic))
	if err != nil {
		t.Fatal(err)
	}
	if p := r.Cluster.Persistence; p == nil || *p != (config.Persistence{Header: "place", Key: config.SessionKey{1}}) {
		t.Errorf("%+v", p)
	}
	if b := r.Cluster.RetryBudget; b == nil || *b != (config.RetryBudget{Percent: 20, Interval: 10 * time.Second, MinRetries: 5, MinInterval: time.Second / 2}) {
		t.Errorf("%+v", b)
	}
	for old, c := range map[string]struct{ new, says string }{
		`"percent": 20`:      {`"percent": 101`, "percent is not a whole number from 0 to 100"},
		`"interval": 10000`:  {`"interval": 0`, "interval of 0"},
		`"min_retries": 5, `: {`"most": 5, `, `has "most"`},
	} {
		_, err := config.Decode(config.ClusterType, "x", "1", encode(t, config.ClusterType, strings.Replace(validTraffic, old, c.new, 1)))
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.new, err, c.says)
		}
	}
}
