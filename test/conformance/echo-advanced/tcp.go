package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"strings"
	"time"
)

// maxLine bounds what one line of the TCP echo may be, in bytes.
const maxLine = 64 << 10

func echoTCP(conn net.Conn, hostname string) {
	defer conn.Close()
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if _, err := fmt.Fprintf(conn, "StatusCode=200\nHostname=%s\nEcho=%s\n", hostname, lines.Text()); err != nil {
			return
		}
	}
}

// callTCP sends one line and returns the answer of echoTCP.
func callTCP(ctx context.Context, address string) (string, error) {
	conn, err := (&net.Dialer{Timeout: connectTimeout}).DialContext(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return "", err
		}
	}
	if _, err := io.WriteString(conn, "hello\n"); err != nil {
		return "", err
	}
	var out strings.Builder
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		fmt.Fprintln(&out, lines.Text())
		if strings.HasPrefix(lines.Text(), "Echo=") {
			return out.String(), nil
		}
	}
	return "", fmt.Errorf("the answer has no end: %q: %w", out.String(), cmp.Or(lines.Err(), io.ErrUnexpectedEOF))
}

// loadCertificate reads the files, or makes a certificate for itself when there are none.
func loadCertificate(crt, key string) (tls.Certificate, error) {
	certificate, err := tls.LoadX509KeyPair(crt, key)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return certificate, err
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("key of the TLS ports: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: "echo"},
		DNSNames:     []string{"echo", "echo-v1", "echo-v2", "localhost"},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate of the TLS ports: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, nil
}
