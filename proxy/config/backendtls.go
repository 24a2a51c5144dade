package config

import (
	"crypto/x509"
)

// SystemRoots is the file that stands for the authorities which the proxy's own image trusts.
const SystemRoots = "/etc/ssl/certs/ca-certificates.crt"

// BackendTLS is how a gateway speaks TLS to the endpoints of a cluster.
type BackendTLS struct {
	// ServerName is what is asked for.
	ServerName string
	// SANs are names of which the certificate must have one; never empty.
	SANs []SAN
	// System tells that the system's authorities are trusted, and Roots is nil.
	System bool
	// Certificate names the one to show; empty: none.
	Certificate string

	roots *x509.CertPool
}

// SAN is a subject alternative name; exactly one part is set.
type SAN struct {
	DNS string // "*.example.com" stands for one label
	URI string
}

// Roots are the authorities to trust; nil: the system's.
func (t *BackendTLS) Roots() *x509.CertPool { return t.roots }

// Values of SubjectAltNameMatcher.SanType.
const (
	sanDNS = 2
	sanURI = 3
)

// decodeBackendTLS reads a TransportSocket with an UpstreamTlsContext; nil from nil.
func decodeBackendTLS(socket *message) *BackendTLS {
	if socket == nil {
		return nil
	}
	t := &BackendTLS{}
	context := socket.typed(3, upstreamTLS)
	t.ServerName = context.text(2, "sni")
	common := context.sub(1, "common_tls_context")
	common.ignore(4) // alpn_protocols: follow from the version of HTTP
	switch names := common.secretNames(6, "tls_certificate_sds_secret_configs"); len(names) {
	case 0:
	case 1:
		t.Certificate = names[0]
	default:
		common.fail("has %d certificates: this proxy supports one", len(names))
	}
	expect := common.sub(3, "validation_context")
	if expect == nil {
		context.fail("has no validation_context: this proxy does not speak to just anybody")
	}
	source := expect.sub(1, "trusted_ca")
	if file := source.text(1, "filename"); file == SystemRoots {
		t.System = true
	} else if file != "" {
		source.fail("field filename is %q: this proxy supports %q", file, SystemRoots)
	}
	if text := source.bytes(2, "inline_bytes"); !t.System {
		t.roots, _ = pool(text[:min(len(text), maxPEM)])
	}
	source.done()
	for _, m := range expect.subs(15, "match_typed_subject_alt_names") {
		t.SANs = append(t.SANs, decodeSAN(m))
	}
	if len(t.SANs) == 0 {
		expect.fail("names nobody in match_typed_subject_alt_names")
	}
	expect.done()
	common.done()
	context.done()
	return t
}

func decodeSAN(m *message) SAN {
	matcher := m.sub(2, "matcher")
	value := matcher.text(1, "exact")
	if value == "" {
		m.fail("has no exact matcher: this proxy compares names as values")
	}
	matcher.done()
	defer m.done()
	switch kind := m.number(1, "san_type"); kind {
	case sanDNS:
		return SAN{DNS: value}
	case sanURI:
		return SAN{URI: value}
	default:
		m.fail("field san_type is %d: this proxy supports DNS and URI", kind)
	}
	return SAN{}
}
