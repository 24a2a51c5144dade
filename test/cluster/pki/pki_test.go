package pki

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestWrite(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	err := Write(dir, now, []Request{
		{Name: "server", CommonName: "server", DNSNames: []string{"kubernetes"}, IPs: []net.IP{net.ParseIP("10.96.0.1")}},
		{Name: "client", CommonName: "system:node:a", Organizations: []string{"system:nodes"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	for _, tc := range []struct {
		name  string
		usage x509.ExtKeyUsage
		host  string
		ok    bool
	}{
		{"server", x509.ExtKeyUsageServerAuth, "10.96.0.1", true},
		{"server", x509.ExtKeyUsageServerAuth, "kubernetes", true},
		{"server", x509.ExtKeyUsageServerAuth, "other", false},
		{"client", x509.ExtKeyUsageClientAuth, "", true},
		{"client", x509.ExtKeyUsageServerAuth, "", false},
	} {
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, tc.name+".crt"), filepath.Join(dir, tc.name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: tc.host, KeyUsages: []x509.ExtKeyUsage{tc.usage}, CurrentTime: now})
		if (err == nil) != tc.ok {
			t.Errorf("%s for %q, usage %v: %v", tc.name, tc.host, tc.usage, err)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "ca.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("ca.key: %v, %v", info.Mode(), err)
	}
}
