package tlsx

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/pool"
)

// originate speaks TLS to the application behind t, through whatever conn is.
func (d *Dialer) originate(ctx context.Context, conn net.Conn, t pool.Target) (net.Conn, error) {
	c := &tls.Config{
		MinVersion: tls.VersionTLS12,
		ServerName: t.TLS.ServerName,
		// Names may be others than the one that is asked for: VerifyConnection verifies chain and names instead.
		InsecureSkipVerify:          true,
		DynamicRecordSizingDisabled: true,
		VerifyConnection:            func(state tls.ConnectionState) error { return verifyBackend(t.TLS, state) },
	}
	if t.ALPN != "" {
		c.NextProtos = []string{t.ALPN}
	}
	if name := t.TLS.Certificate; name != "" {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if own := d.Certificate(name); own != nil {
				return own.TLS(), nil
			}
			return &tls.Certificate{}, nil // the backend decides what it thinks of that
		}
	}
	below := &socket{Conn: conn}
	secured := tls.Client(below, c)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS to %s as %s: %w", t.Address, t.TLS.ServerName, err)
	}
	if got := secured.ConnectionState().NegotiatedProtocol; t.ALPN == HTTP2Name && got != HTTP2Name {
		return nil, fmt.Errorf("TLS to %s as %s: the backend did not agree to HTTP/2", t.Address, t.TLS.ServerName)
	}
	return &Conn{Conn: secured, socket: below}, nil
}

// The names of HTTP in the ALPN of applications (RFC 7301, RFC 9113).
const (
	HTTP1Name = "http/1.1"
	HTTP2Name = "h2"
)

// verifyBackend wants a chain to the roots, and one of the names.
func verifyBackend(t *config.BackendTLS, state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("the backend sent no certificate")
	}
	leaf := state.PeerCertificates[0]
	chain := x509.VerifyOptions{Roots: t.Roots(), Intermediates: x509.NewCertPool()}
	for _, c := range state.PeerCertificates[1:] {
		chain.Intermediates.AddCert(c)
	}
	if _, err := leaf.Verify(chain); err != nil {
		return err
	}
	for _, san := range t.SANs {
		if hasName(leaf, san) {
			return nil
		}
	}
	return fmt.Errorf("the backend's certificate has none of the names %v", t.SANs)
}

// hasName tells whether a certificate is for a name. Wildcards stand for one label, in certificates (RFC 9525 section 6.3) as in
// what is expected.
func hasName(leaf *x509.Certificate, san config.SAN) bool {
	if san.URI != "" {
		for _, u := range leaf.URIs {
			if u.String() == san.URI {
				return true
			}
		}
		return false
	}
	suffix, wildcard := strings.CutPrefix(san.DNS, "*")
	if !wildcard {
		return leaf.VerifyHostname(san.DNS) == nil
	}
	for _, name := range leaf.DNSNames {
		if at := strings.IndexByte(name, '.'); at > 0 && strings.EqualFold(name[at:], suffix) {
			return true
		}
	}
	return false
}
