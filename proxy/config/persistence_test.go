package config_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/stateful_session/v3"

	"github.com/leno-mesh/leno/proxy/config"
)

const (
	sessionKey      = `AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=`
	perFilter       = `"typedPerFilterConfig": {"envoy.filters.http.stateful_session": {"@type": "type.googleapis.com/envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute"}}`
	validPersistent = `{"name": "x", "virtualHosts": [{"name": "*", "domains": ["*"], "routes": [{"match": {"prefix": "/"},
		"metadata": {"filterMetadata": {"dev.leno.persistence": {"cookie": "place", "path": "/a", "timeout": 60, "permanent": true, "key": "` + sessionKey + `"}}},
		"route": {"weightedClusters": {"clusters": [{"name": "c", "weight": 1, ` + perFilter + `}]}}, ` + perFilter + `}]}]}`
)

func TestPersistence(t *testing.T) {
	r, err := config.Decode(config.RouteType, "x", "1", encode(t, config.RouteType, validPersistent))
	if err != nil {
		t.Fatal(err)
	}
	want := config.Persistence{Cookie: "place", Path: "/a", Timeout: time.Minute, Permanent: true, Key: config.SessionKey{1}}
	got := r.Routes.Entries[0].Action.Persistence
	if got == nil || *got != want {
		t.Errorf("%+v", got)
	}
	dump, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(dump), fmt.Sprintf("%v %+v %#v", got, *got, *got)} {
		if !strings.Contains(text, "(session key)") || strings.Contains(text, "[1 0") || strings.Contains(text, "0x1, 0x0") {
			t.Errorf("the key shows in %s", text)
		}
	}
	for old, c := range map[string]struct{ new, says string }{
		`"cookie": "place"`:            {`"cookie": "a b"`, "characters that no cookie"},
		`"cookie": "place", `:          {``, "not either a cookie or a header"},
		`"permanent": true`:            {`"header": "place"`, "not either a cookie or a header"},
		`"path": "/a"`:                 {`"path": "/a;b"`, `path is "/a;b"`},
		`"timeout": 60`:                {`"timeout": 0.5`, "timeout is not a whole number"},
		sessionKey:                     {`AQ==`, "key is not 32 octets"},
		`"key"`:                        {`"sameSite": "Lax", "key"`, `has "sameSite"`},
		`"envoy.filters.http.stateful`: {`"envoy.filters.http.other`, `is "envoy.filters.http.other_session"`},
		`"weight": 1, "typedPerFilterConfig": {"envoy.filters.http.stateful_session": {"@type": "type.googleapis.com/envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute"`: {
			`"weight": 1, "typedPerFilterConfig": {"dev.leno.externalauth": {"@type": "type.googleapis.com/envoy.extensions.filters.http.composite.v3.CompositePerRoute"`,
			`weighted_clusters.clusters[0].typed_per_filter_config[0]: is "dev.leno.externalauth"`,
		},
		`StatefulSessionPerRoute"}}}]`: {`StatefulSession"}}}]`, "weighted_clusters.clusters[0].typed_per_filter_config[0]: is"},
	} {
		if !strings.Contains(validPersistent, old) {
			t.Fatalf("no %s", old)
		}
		_, err := config.Decode(config.RouteType, "x", "1", encode(t, config.RouteType, strings.Replace(validPersistent, old, c.new, 1)))
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.new, err, c.says)
		}
	}
	filtered := strings.Replace(validListener, `"rds": {`, `"httpFilters": [{"name": "envoy.filters.http.stateful_session",
		"typedConfig": {"@type": "type.googleapis.com/envoy.extensions.filters.http.stateful_session.v3.StatefulSession"}}], "rds": {`, 1)
	if _, err := config.Decode(config.ListenerType, "x", "1", encode(t, config.ListenerType, filtered)); err != nil {
		t.Error(err)
	}
	filtered = strings.Replace(filtered, "stateful_session.v3.StatefulSession", "cors.v3.Cors", 1)
	if _, err := config.Decode(config.ListenerType, "x", "1", encode(t, config.ListenerType, filtered)); err == nil {
		t.Error("another filter by that name was taken")
	}
}
