package config_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/leno-mesh/leno/internal/identity/devca"
	"github.com/leno-mesh/leno/proxy/config"
)

const (
	edgeHCM = `{"name": "hcm", "typedConfig": {"@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
		"useRemoteAddress": true, "normalizePath": true, "rds": {"routeConfigName": "r"}}}`
	validPlainPort = `{"name": "gateway/80", "address": {"socketAddress": {"address": "::", "portValue": 80, "ipv4Compat": true}},
		"metadata": {"filterMetadata": {"dev.leno.listener": {"service": "edge/gw:80"}}}, "filterChains": [{"filters": [` + edgeHCM + `]}]}`
	validPort = `{"name": "gateway/443", "address": {"socketAddress": {"address": "::", "portValue": 443, "ipv4Compat": true}},
		"metadata": {"filterMetadata": {"dev.leno.origin": {"kind": "Gateway", "name": "gw"}, "dev.leno.listener": {"service": "edge/gw:443"}}},
		"listenerFilters": [{"name": "tls", "typedConfig": {"@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"}}],
		"filterChains": [
			{"filterChainMatch": {"transportProtocol": "tls", "serverNames": ["a.example.com"]}, "filters": [` + edgeHCM + `],
				"transportSocket": {"name": "tls", "typedConfig": {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
					"requireClientCertificate": true, "commonTlsContext": {"alpnProtocols": ["h2"], "tlsCertificateSdsSecretConfigs": [{"name": "certificate/a/b"}],
					"combinedValidationContext": {"defaultValidationContext": {}, "validationContextSdsSecretConfig": {"name": "client-roots/443/*"}}}}}},
			{"filterChainMatch": {"transportProtocol": "tls"}, "filters": [{"name": "tcp",
				"typedConfig": {"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", "statPrefix": "s", "cluster": "c"}}]}]}`
	validHosts = `{"name": "x", "ignorePortInHostMatching": true, "virtualHosts": [
		{"name": "a", "domains": ["a.example.com"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "c"}}]},
		{"name": "b", "domains": ["*.example.com", "*"]}]}`
	validTLSCluster = `{"name": "x", "type": "EDS", "lbPolicy": "LEAST_REQUEST", "metadata": {"filterMetadata": {"dev.leno.cluster": {"fail": {"status": 500, "reason": "Invalid"}}}},
		"typedExtensionProtocolOptions": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
			"@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions", "explicitHttpConfig": {"http2ProtocolOptions": {}}}},
		"transportSocket": {"name": "tls", "typedConfig": {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", "sni": "a.test",
			"commonTlsContext": {"tlsCertificateSdsSecretConfigs": [{"name": "certificate/a/b"}], "validationContext": {"trustedCa": {"inlineBytes": "UEVN"},
				"matchTypedSubjectAltNames": [{"sanType": "DNS", "matcher": {"exact": "a.test"}}]}}}}}`
)

// validCertificate is a secret with a key and its certificate.
func validCertificate(t testing.TB) string {
	t.Helper()
	ca, err := devca.New(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Server(time.Hour, "a.example.com")
	if err != nil {
		t.Fatal(err)
	}
	chain, key, err := devca.PEM(pair)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.StdEncoding.EncodeToString
	return fmt.Sprintf(`{"name": "certificate/a/b", "tlsCertificate": {"certificateChain": {"inlineBytes": %q}, "privateKey": {"inlineBytes": %q}}}`,
		text(chain), text(key))
}

func TestGatewayResources(t *testing.T) {
	decode := func(typeURL, name, json string) config.Resource {
		t.Helper()
		r, err := config.Decode(typeURL, name, "7", encode(t, typeURL, json))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	p := decode(config.ListenerType, "gateway/443", validPort).Port
	if len(p.Chains) != 2 || p.Plain != nil || p.Chains[0].TLS.Clients != "client-roots/443/*" || p.Chains[1].Listener.Protocol != config.TLS ||
		p.Chains[0].Key() != "a.example.com" || p.Chains[1].Key() != "" || fmt.Sprint(p.Secrets()) != "[certificate/a/b client-roots/443/*]" {
		t.Errorf("%+v", p)
	}
	if p := decode(config.ListenerType, "gateway/80", validPlainPort).Port; p.Plain == nil || !p.Plain.Edge || fmt.Sprint(p.Tables()) != "[r]" {
		t.Errorf("%+v", p)
	}
	if table := decode(config.RouteType, "x", validHosts).Routes; len(table.Hosts) != 2 || table.Hosts[0].Entries != 1 || table.Hosts[1].Names[1] != "*" {
		t.Errorf("%+v", table)
	}
	c := decode(config.ClusterType, "x", validTLSCluster).Cluster
	if c.Fail.Reason != "Invalid" || c.TLS.SANs[0].DNS != "a.test" || c.TLS.Certificate != "certificate/a/b" || c.TLS.Roots() == nil {
		t.Errorf("%+v", c)
	}
	certificate := decode(config.SecretType, "certificate/a/b", validCertificate(t)).Certificate
	if certificate.TLS().PrivateKey == nil || certificate.Version != "7" || certificate.Subjects[0] != "a.example.com" {
		t.Errorf("%v", certificate)
	}
	roots := decode(config.SecretType, "client-roots/443/*", strings.Replace(validSecret, `"x"`, `"client-roots/443/*"`, 1)).Roots
	if roots.Count != 0 || roots.Pool() == nil {
		t.Errorf("%+v", roots)
	}
}

// TestKeysAreHidden: no way to print a certificate prints its key.
func TestKeysAreHidden(t *testing.T) {
	r, err := config.Decode(config.SecretType, "certificate/a/b", "1", encode(t, config.SecretType, validCertificate(t)))
	if err != nil {
		t.Fatal(err)
	}
	c := &config.Config{Certificates: map[string]*config.Certificate{"certificate/a/b": r.Certificate}}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{string(text), fmt.Sprintf("%v %+v %#v %s", r.Certificate, r.Certificate, r.Certificate, r.Certificate)} {
		if strings.Contains(shown, "PrivateKey") || strings.Contains(shown, "Curve") || strings.Contains(shown, `"D"`) {
			t.Errorf("a key shows: %s", shown)
		}
	}
}

func TestGatewayRefusals(t *testing.T) {
	replace := func(in, old, by string) string {
		if !strings.Contains(in, old) {
			t.Errorf("%s is not in %s", old, in)
		}
		return strings.Replace(in, old, by, 1)
	}
	const L, R, C = config.ListenerType, config.RouteType, config.ClusterType
	for _, c := range []struct{ typeURL, name, valid, old, new, says string }{
		{L, "gateway/80", validPlainPort, `"portValue": 80`, `"portValue": 81`, `address has port 81`},
		{L, "gateway/80", validPlainPort, `"address": "::"`, `"address": "0.0.0.0"`, `ipv4_compat is set beside`},
		{L, "gateway/80", validPlainPort, `"useRemoteAddress": true, "normalizePath": true`, `"generateRequestId": true`, `use_remote_address is not set`},
		{L, "gateway/80", validPlainPort, `"normalizePath": true`, `"normalizePath": false`, `normalize_path is false, and use_remote_address is not`},
		{L, "gateway/80", validPlainPort, `"filterChains": [`, `"filterChains": [{"filters": [` + edgeHCM + `]}, `, `neither the only one`},
		{L, "gateway/80", validPlainPort, `"filters"`, `"filterChainMatch": {"serverNames": ["a.b"]}, "filters"`, `neither the only one`},
		{L, "gateway/80", validPlainPort, `"filters"`, `"filterChainMatch": {"transportProtocol": "tls"}, "filters"`, `serves HTTP in TLS without`},
		{L, "gateway/80", validPlainPort, `"rds": {"routeConfigName": "r"}`, `"forwardClientCertDetails": "SANITIZE"`, `has neither rds nor route_config`},
		{L, "gateway/80", validPlainPort, `"rds"`, `"xffNumTrustedHops": 1, "rds"`, `field number 19`},
		{L, "gateway/443", validPort, `"serverNames": ["a.example.com"]`, `"serverNames": ["A.example.com"]`, `no host name in lower case`},
		{L, "gateway/443", validPort, `"serverNames": ["a.example.com"]`, `"serverNames": []`, `two filter_chains for the server name ""`},
		{L, "gateway/443", validPort, `[{"name": "certificate/a/b"}]`, `[]`, `names no certificate`},
		{L, "gateway/443", validPort, `"certificate/a/b"`, `"workload"`, `field name is "workload"`},
		{L, "gateway/443", validPort, `"requireClientCertificate": true`, `"requireClientCertificate": false`, `require_client_certificate is false`},
		{L, "gateway/443", validPort, `"defaultValidationContext": {}`, `"defaultValidationContext": {"trustChainVerification": "ACCEPT_UNTRUSTED"}`, `require_client_certificate is true`},
		{L, "gateway/443", validPort, `"defaultValidationContext": {}`, `"defaultValidationContext": {"allowExpiredCertificate": true}`, `default_validation_context: field number 8`},
		{L, "gateway/443", validPort, `"alpnProtocols": ["h2"]`, `"tlsParams": {}`, `common_tls_context: field number 1`},
		{L, "gateway/443", validPort, `, "validationContextSdsSecretConfig": {"name": "client-roots/443/*"}`, ``, `names no roots`},
		{L, "gateway/443", validPort, `"client-roots/443/*"`, `"trust-bundle"`, `field name is "trust-bundle"`},
		{R, "x", validHosts, `"a.example.com"`, `"*"`, `another virtual host for "*"`},
		{C, "x", validTLSCluster, `"exact": "a.test"`, `"prefix": "a.test"`, `has no exact matcher`},
		{C, "x", validTLSCluster, `"sanType": "DNS"`, `"sanType": "EMAIL"`, `san_type is 1`},
		{C, "x", validTLSCluster, `{"sanType": "DNS", "matcher": {"exact": "a.test"}}`, ``, `names nobody`},
		{C, "x", validTLSCluster, `"inlineBytes": "UEVN"`, `"filename": "/etc/passwd"`, `field filename is "/etc/passwd"`},
		{C, "x", validTLSCluster, `"explicitHttpConfig": {"http2ProtocolOptions": {}}`, `"useDownstreamProtocolConfig": {"httpProtocolOptions": {}, "http2ProtocolOptions": {}}`, `without the one version`},
		{C, "x", validTLSCluster, `"status": 500`, `"status": 200`, `status 200 is not that of a failure`},
	} {
		_, err := config.Decode(c.typeURL, c.name, "1", encode(t, c.typeURL, replace(c.valid, c.old, c.new)))
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.new, err, c.says)
		}
	}
	if _, err := config.Decode(L, "x", "1", encode(t, L, replace(validListener, `"rds"`, `"useRemoteAddress": true, "normalizePath": true, "rds"`))); err == nil {
		t.Error("a sidecar takes use_remote_address")
	}
	whole := validCertificate(t)
	for _, bad := range []string{
		strings.Replace(whole, `"privateKey": {"inlineBytes": "`, `"privateKey": {"inlineBytes": "AAAA`, 1),
		otherKey(whole, validCertificate(t)),
	} {
		_, err := config.Decode(config.SecretType, "certificate/a/b", "1", encode(t, config.SecretType, bad))
		if err == nil || strings.Contains(err.Error(), "BEGIN") {
			t.Errorf("%v", err)
		}
	}
}

// otherKey is a certificate with the key of another.
func otherKey(certificate, key string) string {
	const at = `"privateKey"`
	before, _, _ := strings.Cut(certificate, at)
	_, after, _ := strings.Cut(key, at)
	return before + at + after
}
