package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"net/http/httptest"
	"strings"
	"testing"

	"sigs.k8s.io/gateway-api/conformance/utils/echo"
)

// TestHTTP calls the server with the client and reads the output with the suite's own parser.
func TestHTTP(t *testing.T) {
	server := httptest.NewServer(echoHTTP("echo-v1-abc-def", 8080))
	defer server.Close()
	var out bytes.Buffer
	args := []string{server.URL + "/path?q=1", "--method=PUT", "-H", "X-Two:a", "-H", "X-Two: b", "-H", "Host:echo-v2"}
	if err := call(t.Context(), args, &out); err != nil {
		t.Fatal(err)
	}
	got := echo.ParseResponse(out.String())
	if got.Code != "200" || got.Hostname != "echo-v1-abc-def" || got.Method != "PUT" || got.Host != "echo-v2" {
		t.Errorf("parsed %+v from\n%s", got, out.String())
	}
	if two := strings.Join(got.RequestHeaders["X-Two"], ","); two != "a,b" {
		t.Errorf("X-Two is %q, want a,b", two)
	}
	if kind := got.ResponseHeaders.Get("Content-Type"); kind != "text/plain" {
		t.Errorf("Content-Type is %q", kind)
	}
}

// TestHTTPS: the name in TLS is the one that header Host asks for.
func TestHTTPS(t *testing.T) {
	server := httptest.NewUnstartedServer(echoHTTP("echo-v1-abc-def", 8443))
	names := make(chan string, 1)
	server.TLS = &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		names <- hello.ServerName
		return nil, nil
	}}
	server.StartTLS()
	defer server.Close()
	var out bytes.Buffer
	if err := call(t.Context(), []string{server.URL, "-H", "Host:one.example.com"}, &out); err != nil {
		t.Fatal(err)
	}
	if got := echo.ParseResponse(out.String()); got.Code != "200" || got.Hostname != "echo-v1-abc-def" {
		t.Errorf("parsed %+v from\n%s", got, out.String())
	}
	if name := <-names; name != "one.example.com" {
		t.Errorf("server name %q", name)
	}
}

func TestTCP(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- serveTCP("echo-v1-abc-def")(ctx, listener) }()
	var out bytes.Buffer
	if err := call(ctx, []string{"tcp://" + listener.Addr().String(), "--method=GET", "--count=3"}, &out); err != nil {
		t.Fatal(err)
	}
	for _, text := range strings.Split(strings.TrimSpace(out.String()), "\n\n") {
		if got := echo.ParseResponse(text); got.Code != "200" || got.Hostname != "echo-v1-abc-def" {
			t.Errorf("parsed %+v from\n%s", got, text)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestGRPC(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- serveGRPC("echo-v2-abc-def")(ctx, listener) }()
	var out bytes.Buffer
	if err := call(ctx, []string{"grpc://" + listener.Addr().String(), "-H", "X-Test:1", "--count=30"}, &out); err != nil {
		t.Fatal(err)
	}
	sections := strings.Split(strings.TrimSpace(out.String()), "\n\n")
	if len(sections) != 30 {
		t.Fatalf("%d sections, want 30:\n%s", len(sections), out.String())
	}
	for _, text := range sections {
		got := echo.ParseResponse(text)
		if got.Code != "200" || got.Hostname != "echo-v2-abc-def" || got.RequestHeaders.Get("X-Test") != "1" {
			t.Fatalf("parsed %+v from\n%s", got, text)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestRefused: an answer with any status is a success, no answer is not.
func TestRefused(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	for _, scheme := range []string{"http", "https", "grpc", "tcp"} {
		if err := call(t.Context(), []string{scheme + "://" + address}, &bytes.Buffer{}); err == nil {
			t.Errorf("%s: no error from a port that nobody listens on", scheme)
		}
	}
}

func TestSettings(t *testing.T) {
	s, err := parseSettings(strings.Fields("--tcp=9090 --port=8080 --grpc=7070 --port=8443 --tls=8443 --crt=/cert.crt --key=/cert.key"))
	if err != nil || len(s.http) != 2 || s.tls[0] != 8443 || s.crt != "/cert.crt" {
		t.Errorf("settings %+v, %v", s, err)
	}
	if s, err = parseSettings(nil); err != nil || s.http[0] != 8080 || s.grpc[0] != 7070 || s.tcp[0] != 9090 {
		t.Errorf("defaults %+v, %v", s, err)
	}
}
