package tlsx

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"slices"

	"github.com/leno-mesh/leno/proxy/config"
)

// Termination is the server's end of TLS of a gateway's listener, ready for handshakes.
type Termination struct {
	of     *config.Termination
	certs  []*config.Certificate
	roots  *config.Roots
	config *tls.Config
}

// NextTermination prepares t with the secrets that it names, those that are there. prev is used again where nothing has changed, so
// that clients can resume their sessions; it may be nil. Without any certificate there is none: nil.
func NextTermination(prev *Termination, t *config.Termination, certs []*config.Certificate, roots *config.Roots) *Termination {
	if prev != nil && prev.of == t && slices.Equal(prev.certs, certs) && prev.roots == roots {
		return prev
	}
	if len(certs) == 0 {
		return nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: t.ALPN, DynamicRecordSizingDisabled: true}
	for _, one := range certs {
		c.Certificates = append(c.Certificates, *one.TLS()) // crypto/tls takes the first that fits the client, else the first
	}
	switch {
	case t.Clients == "":
	case t.Fallback:
		c.ClientAuth = tls.RequestClientCert
	default:
		c.ClientAuth = tls.RequireAndVerifyClientCert
		c.ClientCAs = x509.NewCertPool() // nil would mean the system's
		if roots != nil {
			c.ClientCAs = roots.Pool()
		}
		c.SessionTicketsDisabled = true // a resumed session would outlive the client's certificate
	}
	return &Termination{of: t, certs: certs, roots: roots, config: c}
}

// Accept does the handshake, and tells which protocol was agreed on. It does not close conn on failure.
func (t *Termination) Accept(ctx context.Context, conn net.Conn) (*Conn, string, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	below := &socket{Conn: conn}
	secured := tls.Server(below, t.config)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, "", fmt.Errorf("TLS from %s: %w", conn.RemoteAddr(), err)
	}
	return &Conn{Conn: secured, socket: below}, secured.ConnectionState().NegotiatedProtocol, nil
}
