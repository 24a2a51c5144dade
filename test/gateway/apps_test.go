package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/leno-mesh/leno/internal/identity/devca"
	"github.com/leno-mesh/leno/internal/mesh"
)

// seen is what a backend saw of a request; its answers have it as JSON.
type seen struct {
	App      string
	Host     string
	Path     string
	Protocol string
	Headers  http.Header
	// Name of the server that TLS asked for, and of the client's certificate; TLS only.
	Server, Client string
}

// app is a backend that speaks HTTP of both versions, in TLS where config is set.
func app(t *testing.T, name string, config *tls.Config) net.Addr {
	t.Helper()
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	s := &http.Server{ReadHeaderTimeout: patience, Protocols: new(http.Protocols)}
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		saw := seen{App: name, Host: r.Host, Path: r.URL.Path, Protocol: r.Proto, Headers: r.Header}
		if r.TLS != nil {
			saw.Server = r.TLS.ServerName
			if len(r.TLS.PeerCertificates) > 0 {
				saw.Client = strings.Join(r.TLS.PeerCertificates[0].DNSNames, ",")
			}
		}
		_ = json.NewEncoder(w).Encode(saw) // the client may be gone
	})
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	s.Protocols.SetHTTP2(true)
	t.Cleanup(func() { _ = s.Close() })
	if config == nil {
		go func() { _ = s.Serve(listener) }()
		return listener.Addr()
	}
	s.TLSConfig = config
	go func() { _ = s.ServeTLS(listener, "", "") }()
	return listener.Addr()
}

// greeter is a backend that speaks first, in TLS where config is set: its name and a line of the client's again.
func greeter(t *testing.T, name string, config *tls.Config) net.Addr {
	t.Helper()
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	if config != nil {
		listener = tls.NewListener(listener, config)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				_, _ = io.WriteString(conn, name+"\n")
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	return listener.Addr()
}

// greeting is the first line that a connection brings; "" where it is refused.
func greeting(conn net.Conn) string {
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	line, _ := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(line)
}

// hello is the first line of a new connection; "" where it is refused.
func hello(address string) string {
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return ""
	}
	defer func() { _ = conn.Close() }()
	return greeting(conn)
}

// pki is an authority of certificates that have nothing to do with the mesh.
type pki struct{ *devca.CA }

func newPKI() pki { return pki{must(devca.New(time.Hour))} }

func (p pki) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	for _, root := range p.Bundle().Roots() {
		pool.AddCert(root)
	}
	return pool
}

func (p pki) server(names ...string) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{*must(p.Server(time.Hour, names...))}}
}

// secret is a certificate as a gateway refers to it.
func (p pki) secret(name string, names ...string) *mesh.Certificate {
	chain, key, err := devca.PEM(must(p.Server(time.Hour, names...)))
	if err != nil {
		panic(err)
	}
	return &mesh.Certificate{Name: mesh.Name{Namespace: "edge", Name: name}, Chain: chain, Key: key}
}

// client asks a gateway.
type client struct {
	t       *testing.T
	address string
	tls     *tls.Config // nil: plain text
	http2   bool
	reuse   bool
	header  http.Header
}

// answer is what a client got.
type answer struct {
	status   int
	header   http.Header
	protocol string
	seen     seen // by a backend; zero when the gateway answered itself
	text     string
}

// get asks for a URL, whatever its host, at the gateway's address.
func (c client) get(url string) (answer, error) {
	c.t.Helper()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", c.address)
	}
	transport := &http.Transport{DialContext: dial, TLSClientConfig: c.tls, DisableKeepAlives: !c.reuse, Protocols: new(http.Protocols)}
	if c.http2 {
		transport.Protocols.SetHTTP2(c.tls != nil)
		transport.Protocols.SetUnencryptedHTTP2(c.tls == nil)
	} else {
		transport.Protocols.SetHTTP1(true)
	}
	defer transport.CloseIdleConnections()
	request := must(http.NewRequest(http.MethodGet, url, nil))
	if c.header != nil {
		request.Header = c.header
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	response, err := transport.RoundTrip(request.WithContext(ctx))
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	a := answer{status: response.StatusCode, header: response.Header, protocol: response.Proto, text: string(text)}
	_ = json.Unmarshal(text, &a.seen) // the gateway's own answers are no JSON
	return a, err
}

// from asks until an application answers: changes need a moment.
func (g *Gateway) from(c client, url, app string) answer {
	g.t.Helper()
	var last answer
	g.Eventually(url+" is answered by "+app, func() bool {
		var err error
		last, err = c.get(url)
		return err == nil && last.seen.App == app
	})
	return last
}

// answered asks until the answer has a status.
func (g *Gateway) answered(c client, url string, status int) answer {
	g.t.Helper()
	var last answer
	g.Eventually(url+" is answered "+http.StatusText(status), func() bool {
		var err error
		last, err = c.get(url)
		return err == nil && last.status == status
	})
	return last
}

// refused asks until the connection is refused.
func (g *Gateway) refused(c client, url string) {
	g.t.Helper()
	g.Eventually(url+" is refused", func() bool {
		_, err := c.get(url)
		return err != nil
	})
}
