package xds

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"math"
	"slices"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	statefulv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/stateful_session/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	cookiev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/stateful_session/cookie/v3"
	headerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/stateful_session/header/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/type/http/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/leno-mesh/leno/internal/mesh"
)

// statefulSession is the filter that keeps sessions, and the name by which routes find it.
const statefulSession = "envoy.filters.http.stateful_session"

// keepSessions adds that filter in front of the router. It does nothing where no route says how.
func keepSessions(hcm *hcmv3.HttpConnectionManager) {
	hcm.HttpFilters = slices.Insert(hcm.HttpFilters, 0, &hcmv3.HttpFilter{
		Name: statefulSession, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(&statefulv3.StatefulSession{})},
	})
}

// keepsSessions tells whether a rule of a table does, or one of its backends.
func keepsSessions(m *mesh.Mesh, table *mesh.RouteTable) bool {
	return table != nil && slices.ContainsFunc(table.Entries, func(e mesh.Entry) bool {
		return kept(m, e.Rule.Persistence) != nil || slices.ContainsFunc(e.Rule.Backends, func(b mesh.Backend) bool { return backendPersistence(m, b) != nil })
	})
}

// kept is p, but nil where there is no key that sessions could be sealed with: no proxy keeps any then.
func kept(m *mesh.Mesh, p *mesh.Persistence) *mesh.Persistence {
	if m.Settings.SessionKey == (mesh.SessionKey{}) {
		return nil
	}
	return p
}

// backendPersistence is how a valid backend's own sessions are kept; nil for none.
func backendPersistence(m *mesh.Mesh, b mesh.Backend) *mesh.Persistence {
	if _, port := servicePort(m, b.Service); port != nil && b.Fail == nil {
		return kept(m, port.Persistence)
	}
	return nil
}

// statefulFilter says in Envoy's words how sessions are kept. Envoy's hold the endpoint's address for everybody to read and change: it
// has no field for a key.
func statefulFilter(p *mesh.Persistence) map[string]*anypb.Any {
	state := &corev3.TypedExtensionConfig{Name: "envoy.http.stateful_session.cookie"}
	if p.Header {
		state.Name = "envoy.http.stateful_session.header"
		state.TypedConfig = pack(&headerv3.HeaderBasedSessionState{Name: strings.ToLower(p.Name)})
	} else {
		cookie := &httpv3.Cookie{Name: p.Name, Path: p.Path}
		if p.Permanent {
			cookie.Ttl = durationpb.New(p.Timeout.Truncate(time.Second))
		}
		state.TypedConfig = pack(&cookiev3.CookieBasedSessionState{Cookie: cookie})
	}
	return map[string]*anypb.Any{statefulSession: pack(&statefulv3.StatefulSessionPerRoute{
		Override: &statefulv3.StatefulSessionPerRoute_StatefulSession{StatefulSession: &statefulv3.StatefulSession{SessionState: state}},
	})}
}

// sessions says the same for our own proxy: KeyPersistence.
func sessions(p *mesh.Persistence, key []byte) fields {
	f := fields{}.text("key", base64.StdEncoding.EncodeToString(key)).number("timeout", math.Ceil(p.Timeout.Seconds())).flag("permanent", p.Permanent)
	if p.Header {
		return f.text("header", strings.ToLower(p.Name))
	}
	return f.text("cookie", p.Name).text("path", p.Path)
}

// ruleKey is what the sessions of a rule are sealed with: who has it can make sessions for that rule, and for no other.
func ruleKey(master mesh.SessionKey, o mesh.Origin) []byte {
	return derive(master, "rule", o.Kind, o.Namespace, o.Name, o.Rule)
}

// clusterKey is what the sessions of a cluster are sealed with.
func clusterKey(master mesh.SessionKey, cluster string) []byte {
	return derive(master, "cluster", cluster)
}

// derive is HMAC-SHA256 over names that have no zero octets.
func derive(master mesh.SessionKey, names ...string) []byte {
	mac := hmac.New(sha256.New, master[:])
	_, _ = mac.Write([]byte(strings.Join(names, "\x00"))) // never fails
	return mac.Sum(nil)
}
