package load

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"time"
)

// handshakes makes a connection with mutual TLS, sends a byte to and fro, and closes it.
type handshakes struct {
	address string
	config  *tls.Config
	closed  context.Context
	end     context.CancelFunc
}

// Files are the client's certificate, its key, and the roots for the server's, in PEM.
type Files struct{ Chain, Key, Roots string }

// alpn is what sidecars of Leno call opaque bytes; other proxies do not look at it.
const alpn = "leno-tcp"

// Handshakes makes n workers that each open one connection after the other. groups are the key exchanges that the
// client offers.
func Handshakes(address string, files Files, groups []tls.CurveID, n int) ([]Worker, error) {
	certificate, err := tls.LoadX509KeyPair(files.Chain, files.Key)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(files.Roots)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate", files.Roots)
	}
	config := &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certificate}, RootCAs: roots,
		ServerName: "web.bench.svc.cluster.local", NextProtos: []string{alpn}, CurvePreferences: groups,
	}
	return open(n, func() (Worker, error) {
		ctx, end := context.WithCancel(context.Background())
		return &handshakes{address, config, ctx, end}, nil
	})
}

func (h *handshakes) Close() error { h.end(); return nil }

func (h *handshakes) Do() error {
	ctx, cancel := context.WithTimeout(h.closed, patience)
	defer cancel()
	dialer := tls.Dialer{Config: h.config}
	conn, err := dialer.DialContext(ctx, "tcp", h.address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write([]byte{'e'}); err != nil {
		return err
	}
	_, err = io.ReadFull(conn, make([]byte, 1))
	return err
}
