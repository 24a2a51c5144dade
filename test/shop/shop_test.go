package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func environment(pairs ...string) func(string) string {
	values := map[string]string{}
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		values[name] = value
	}
	return func(name string) string { return values[name] }
}

// start runs a service on a free port and returns the variables by which others find it.
func start(t *testing.T, pairs ...string) (address string, variables []string) {
	t.Helper()
	s := newService(environment(pairs...))
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	prefix := strings.ToUpper(s.name) + "_SERVICE_"
	return server.URL, []string{prefix + "HOST=" + u.Hostname(), prefix + "PORT=" + u.Port()}
}

func TestChain(t *testing.T) {
	_, catalog := start(t, "SERVICE=catalog", "VERSION=v2", "POD_NAME=catalog-v2-0")
	_, cart := start(t, append(catalog, "SERVICE=cart", "UPSTREAMS=catalog")...)
	frontend, _ := start(t, append(cart, "SERVICE=frontend", "UPSTREAMS=cart, gone", "GONE_SERVICE_HOST=127.0.0.1", "GONE_SERVICE_PORT=1")...)

	resp, err := http.Get(frontend)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got Answer
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusBadGateway || got.Upstreams["gone"].Error == "" {
		t.Errorf("an upstream that is gone: status %d, %+v", resp.StatusCode, got.Upstreams["gone"])
	}
	deepest := got.Upstreams["cart"].Answer.Upstreams["catalog"].Answer
	if deepest == nil || deepest.Version != "v2" || deepest.Pod != "catalog-v2-0" {
		t.Errorf("catalog answered %+v", deepest)
	}
}

func TestLoad(t *testing.T) {
	served := 0 // only the handler's one connection at a time touches it
	ctx, stop := context.WithCancel(t.Context())
	catalog := newService(environment("SERVICE=catalog", "VERSION=v1"))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served++
		switch served {
		case 3:
			http.Error(w, "no", http.StatusServiceUnavailable)
		case 5:
			stop()
			fallthrough
		default:
			catalog.ServeHTTP(w, r)
		}
	}))
	defer server.Close()
	var out strings.Builder
	err := load(ctx, []string{"--url", server.URL, "--rate=1000", "--in-flight=1"}, environment(), &out)
	if err == nil || !strings.Contains(err.Error(), "1 of ") {
		t.Errorf("error %v, want one failure", err)
	}
	if got := out.String(); !strings.Contains(got, "1 failed  catalog v1 ") || !strings.Contains(got, "FAILED: 503 Service Unavailable 1") {
		t.Errorf("printed %q", got)
	}
}

func TestServiceAddress(t *testing.T) {
	getenv := environment("CART_V2_SERVICE_HOST=10.0.0.1", "CART_V2_SERVICE_PORT=8080", "WEB_SERVICE_HOST=fd00::1")
	for name, want := range map[string]string{"cart-v2": "10.0.0.1:8080", "web": "[fd00::1]:80", "other": "other"} {
		if got := serviceAddress(name, getenv); got != want {
			t.Errorf("%s is at %s, want %s", name, got, want)
		}
	}
}
