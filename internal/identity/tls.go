package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// ServerTLS is for the receiving end of mutual TLS between workloads: TLS 1.3, any peer of our own trust domain.
// [PeerID] of the finished connection says who it is. Certificate and roots are those of src at the time of the handshake.
func ServerTLS(src Source, alpn ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: alpn,
		// The chain is verified below against the roots of the moment, which a fixed ClientCAs pool could not do.
		ClientAuth: tls.RequireAnyClientCert,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			svid, err := src.Identity()
			if err != nil {
				return nil, err
			}
			return svid.TLS(), nil
		},
		VerifyConnection: func(state tls.ConnectionState) error {
			return verifyPeer(src, state, x509.ExtKeyUsageClientAuth, func(peer, own ID) error {
				if peer.TrustDomain != own.TrustDomain {
					return fmt.Errorf("peer %s is not of our trust domain %s", peer, own.TrustDomain)
				}
				return nil
			})
		},
		// A resumed session would outlive a change of roots and the peer's certificate.
		SessionTicketsDisabled: true,
		// Small records make the first octets of a page visible earlier over slow links; between pods they only cost.
		DynamicRecordSizingDisabled: true,
	}
}

// ClientTLS is for the dialling end: TLS 1.3, and the peer must prove to be want, compared as a value.
func ClientTLS(src Source, want ID, alpn ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: alpn,
		// Names in DNS mean nothing here: VerifyConnection verifies chain and SPIFFE id instead.
		InsecureSkipVerify:          true,
		DynamicRecordSizingDisabled: true, // as above
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			svid, err := src.Identity()
			if err != nil {
				return nil, err
			}
			return svid.TLS(), nil
		},
		VerifyConnection: func(state tls.ConnectionState) error {
			return verifyPeer(src, state, x509.ExtKeyUsageServerAuth, func(peer, _ ID) error {
				if peer != want {
					return fmt.Errorf("peer is %s, expected %s", peer, want)
				}
				return nil
			})
		},
	}
}

// PeerID is the SPIFFE id of the peer of a connection made with one of this package's configurations. It reads only the
// certificate: that it was verified is the work of the handshake, so ask only after that has succeeded.
func PeerID(state tls.ConnectionState) (ID, error) {
	if !state.HandshakeComplete || len(state.PeerCertificates) == 0 {
		return ID{}, errors.New("the peer proved no identity")
	}
	return LeafID(state.PeerCertificates[0])
}

func verifyPeer(src Source, state tls.ConnectionState, usage x509.ExtKeyUsage, accept func(peer, own ID) error) error {
	own, err := src.Identity()
	if err != nil {
		return err
	}
	if len(state.PeerCertificates) == 0 {
		return errors.New("the peer sent no certificate")
	}
	leaf := state.PeerCertificates[0]
	peer, err := LeafID(leaf)
	if err != nil {
		return err
	}
	if err := own.Roots.Verify(state.PeerCertificates, usage, time.Now()); err != nil {
		return fmt.Errorf("certificate of %s: %w", peer, err)
	}
	return accept(peer, own.ID)
}

// ManagerServerTLS is for the manager's gRPC port: its own serving certificate, and a client certificate that is verified
// when there is one. A workload that enrols has none yet, so each service must ask [PeerID] for itself. Both functions
// are called at each handshake.
func ManagerServerTLS(serving func() (*tls.Certificate, error), roots func() *Bundle) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{"h2"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			certificate, err := serving()
			if err != nil {
				return nil, fmt.Errorf("serving certificate: %w", err)
			}
			return &tls.Config{
				MinVersion:             tls.VersionTLS13,
				NextProtos:             []string{"h2"},
				Certificates:           []tls.Certificate{*certificate},
				ClientAuth:             tls.VerifyClientCertIfGiven,
				ClientCAs:              roots().Pool(),
				SessionTicketsDisabled: true,
				// Small records make the first octets of a page visible earlier over slow links; between pods they only cost.
				DynamicRecordSizingDisabled: true,
			}, nil
		},
	}
}

// ManagerClientTLS is for dialling the manager: its DNS name is verified against the roots of the moment, and our own
// certificate is shown if src has one. src may be nil.
func ManagerClientTLS(serverName string, roots func() (*Bundle, error), src Source) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		ServerName: serverName,
		NextProtos: []string{"h2"},
		// Replaced by VerifyConnection, because RootCAs could not change between handshakes.
		InsecureSkipVerify:          true,
		DynamicRecordSizingDisabled: true, // as above
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if src != nil {
				if svid, err := src.Identity(); err == nil {
					return svid.TLS(), nil
				}
			}
			return &tls.Certificate{}, nil
		},
		VerifyConnection: func(state tls.ConnectionState) error {
			bundle, err := roots()
			if err != nil {
				return err
			}
			intermediates := x509.NewCertPool()
			for _, c := range state.PeerCertificates[1:] {
				intermediates.AddCert(c)
			}
			_, err = state.PeerCertificates[0].Verify(x509.VerifyOptions{
				DNSName: serverName, Roots: bundle.Pool(), Intermediates: intermediates, CurrentTime: time.Now(),
			})
			return err
		},
	}
}
