// Package tlsx is mutual TLS between sidecars: which protocols it carries, the receiving end, and a dialer that speaks it
// where the target has an identity and plain TCP where it has none.
package tlsx

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/pool"
)

// What is inside the TLS between two sidecars, as ALPN names (RFC 7301). The names are a contract between versions.
const (
	HTTP1 = "leno-http/1.1"
	HTTP2 = "leno-h2"
	TCP   = "leno-tcp"
)

var protocols = []string{HTTP1, HTTP2, TCP}

// handshakeTimeout bounds the receiving end; a peer in the same network needs milliseconds.
const handshakeTimeout = 5 * time.Second

// Ours tells whether a ClientHello is from a sidecar: only then the TLS is ours to terminate. An application's own TLS
// offers none of these names.
func Ours(offered []string) bool {
	return slices.ContainsFunc(offered, func(name string) bool { return slices.Contains(protocols, name) })
}

// EitherHTTP tells that a client offers both versions of HTTP, as Envoy does where it passes on what its client speaks: it has one
// offer for all connections to a cluster. What was agreed on then says nothing about what follows.
func EitherHTTP(offered []string) bool {
	return slices.Contains(offered, HTTP1) && slices.Contains(offered, HTTP2)
}

// Peer is who is at the other end of a connection and what it carries.
type Peer struct {
	ID   identity.ID
	ALPN string
}

// Server is the receiving end of mutual TLS.
type Server struct{ config *tls.Config }

// NewServer makes a Server that shows the identity of src.
func NewServer(src identity.Source) *Server {
	return &Server{identity.ServerTLS(src, protocols...)}
}

// Accept does the handshake. It does not close conn on failure.
func (s *Server) Accept(ctx context.Context, conn net.Conn) (*Conn, Peer, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	below := &socket{Conn: conn}
	secured := tls.Server(below, s.config)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, Peer{}, fmt.Errorf("TLS from %s: %w", conn.RemoteAddr(), err)
	}
	state := secured.ConnectionState()
	id, err := identity.PeerID(state)
	if err != nil {
		return nil, Peer{}, fmt.Errorf("TLS from %s: %w", conn.RemoteAddr(), err)
	}
	return &Conn{Conn: secured, socket: below}, Peer{ID: id, ALPN: state.NegotiatedProtocol}, nil
}

// Dialer makes upstream connections. It is a [pool.Dialer].
type Dialer struct {
	Source identity.Source
	// Raw makes a TCP connection.
	Raw func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	// Own tells whether the address is one of the proxy's own application. It is then dialled in plain text at the
	// address returned, because the proxy's connections do not pass its own inbound side.
	Own func(netip.AddrPort) (netip.AddrPort, bool)
	// Certificate finds the certificate to show to applications, by name; nil where there is none. Only gateways need it.
	Certificate func(name string) *config.Certificate
}

// Dial connects to t: with mutual TLS when t has an identity and is not the own application, and in the application's own TLS where
// t has that.
func (d *Dialer) Dial(ctx context.Context, t pool.Target) (net.Conn, error) {
	if own, ok := d.Own(t.Address); ok {
		return d.Raw(ctx, own)
	}
	conn, err := d.Raw(ctx, t.Address)
	if err != nil {
		return nil, err
	}
	secured := conn
	if t.Identity != "" {
		secured, err = d.secure(ctx, conn, t)
	}
	if err == nil && t.TLS != nil {
		secured, err = d.originate(ctx, secured, t)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secured, nil
}

func (d *Dialer) secure(ctx context.Context, conn net.Conn, t pool.Target) (net.Conn, error) {
	want, err := identity.Parse(t.Identity)
	if err != nil {
		return nil, err
	}
	alpn := t.ALPN
	if t.TLS != nil {
		alpn = TCP // to the sidecar, the application's TLS is nobody's business
	}
	below := &socket{Conn: conn}
	secured := tls.Client(below, identity.ClientTLS(d.Source, want, alpn))
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS to %s: %w", t.Address, err)
	}
	if got := secured.ConnectionState().NegotiatedProtocol; got != alpn {
		return nil, fmt.Errorf("TLS to %s: peer did not agree to %s", t.Address, alpn)
	}
	return &Conn{Conn: secured, socket: below}, nil
}
