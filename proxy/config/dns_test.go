package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
)

const validDNS = `{"name": "x", "type": "STRICT_DNS", "lbPolicy": "LEAST_REQUEST", "dnsRefreshRate": "30s", "dnsLookupFamily": "V4_PREFERRED",
	"loadAssignment": {"clusterName": "x", "endpoints": [{"lbEndpoints": [
		{"endpoint": {"address": {"socketAddress": {"address": "api.example.com", "portValue": 443}}}}]}]}}`

func TestDNS(t *testing.T) {
	r, err := config.Decode(config.ClusterType, "x", "1", encode(t, config.ClusterType, validDNS))
	if err != nil || r.Cluster.DNS == nil || *r.Cluster.DNS != (config.DNS{Host: "api.example.com", Port: 443, Refresh: 30 * time.Second}) {
		t.Errorf("%+v, %v", r.Cluster, err)
	}
	for old, c := range map[string]struct{ new, says string }{
		`"30s"`:             {`"0.5s"`, "dns_refresh_rate is 500ms"},
		`"api.example.com"`: {`"Api.example.com"`, `load_assignment has "Api.example.com"`},
		`443`:               {`0`, "port 0"},
		`{"lbEndpoints"`:    {`{}, {"lbEndpoints"`, "2 localities"},
		`{"endpoint"`:       {`{}, {"endpoint"`, "2 endpoints"},
		`"portValue"`:       {`"protocol": "UDP", "portValue"`, "protocol is not TCP"},
		`"loadAssignment"`:  {`"respectDnsTtl": true, "loadAssignment"`, "field number 39"},
	} {
		_, err := config.Decode(config.ClusterType, "x", "1", encode(t, config.ClusterType, strings.Replace(validDNS, old, c.new, 1)))
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.new, err, c.says)
		}
	}
}
