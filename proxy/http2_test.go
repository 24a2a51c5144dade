package proxy_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

// app2 is an application that speaks HTTP/2 without TLS, and HTTP/1.1.
func app2(t *testing.T, handler http.HandlerFunc) netip.AddrPort {
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	protocols.SetHTTP1(true)
	server := &http.Server{Handler: handler, Protocols: protocols}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return must(netip.ParseAddrPort(l.Addr().String()))
}

// client2 speaks HTTP/2 by prior knowledge to what is behind a pod's destination.
func client2(p *pod, to netip.AddrPort) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols, DialContext: func(context.Context, string, string) (net.Conn, error) { return p.dial(to), nil }}
	p.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// client1 speaks HTTP/1.1.
func client1(p *pod, to netip.AddrPort) *http.Client {
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return p.dial(to), nil }}
	p.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// talkative answers in all the ways that HTTP has.
func talkative(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Proto", r.Proto)
	w.Header().Add("X-Two", "1")
	w.Header().Add("X-Two", "2")
	switch r.URL.Path {
	case "/echo":
		w.Header().Set("Trailer", "X-Sum")
		_ = http.NewResponseController(w).EnableFullDuplex() // fails for HTTP/2, which always is
		hash := sha256.New()
		if _, err := io.Copy(io.MultiWriter(w, hash), r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("X-Sum", fmt.Sprintf("%x %s", hash.Sum(nil), r.Trailer.Get("X-Asked")))
	case "/early":
		w.WriteHeader(http.StatusForbidden) // without reading the body
	case "/hints":
		w.Header().Set("Link", "</style.css>")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusOK)
	case "/none":
		w.WriteHeader(http.StatusNoContent)
	case "/big":
		_, _ = w.Write(make([]byte, 3<<20))
	case "/abort":
		_, _ = w.Write(make([]byte, 100))
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	case "/cookies":
		_, _ = io.WriteString(w, r.Header.Get("Cookie"))
	default:
		_, _ = fmt.Fprintf(w, "%s %s %s", r.Method, r.Host, r.RequestURI)
	}
}

// ways are the combinations of what client and application speak, with what the application must see.
var ways = []struct {
	name, sees string
	client     func(*pod, netip.AddrPort) *http.Client
	cluster    config.HTTPVersion
}{
	{"HTTP/2 to HTTP/2", "HTTP/2.0", client2, config.SameHTTP},
	{"HTTP/2 to HTTP/1.1", "HTTP/1.1", client2, config.HTTP1Only},
	{"HTTP/1.1 to HTTP/2", "HTTP/2.0", client1, config.HTTP2Only},
	{"HTTP/1.1 to HTTP/1.1", "HTTP/1.1", client1, config.SameHTTP},
}

func each(t *testing.T, test func(t *testing.T, client *http.Client, sees string, web, cart *pod)) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			m := newMesh(t)
			cart := m.pod("cart", app2(t, talkative), nil)
			web := m.pod("web", netip.AddrPort{}, nil)
			web.knows(cartService, config.Detect, cart.endpoint())
			web.control.change(func(c *config.Config) {
				for _, cluster := range c.Clusters {
					cluster.HTTP = way.cluster
				}
			})
			test(t, way.client(web, cartService), way.sees, web, cart)
		})
	}
}

func request(t *testing.T, method, path string, body io.Reader) *http.Request {
	t.Helper()
	return must(http.NewRequestWithContext(t.Context(), method, "http://cart.shop"+path, body))
}

func do(t *testing.T, c *http.Client, r *http.Request) (*http.Response, []byte) {
	t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

func TestVersions(t *testing.T) {
	each(t, func(t *testing.T, client *http.Client, sees string, web, cart *pod) {
		resp, body := do(t, client, request(t, "GET", "/a/b?c=d", nil))
		if string(body) != "GET cart.shop /a/b?c=d" || resp.Header.Get("X-Proto") != sees || len(resp.Header["X-Two"]) != 2 {
			t.Errorf("%q, %v", body, resp.Header)
		}
		if resp, body := do(t, client, request(t, "HEAD", "/", nil)); resp.StatusCode != 200 || len(body) != 0 {
			t.Errorf("HEAD: %d, %q", resp.StatusCode, body)
		}
		if resp, body := do(t, client, request(t, "GET", "/none", nil)); resp.StatusCode != 204 || len(body) != 0 {
			t.Errorf("204: %d, %q", resp.StatusCode, body)
		}
		if resp, body := do(t, client, request(t, "GET", "/big", nil)); resp.StatusCode != 200 || len(body) != 3<<20 {
			t.Errorf("big: %d, %d bytes", resp.StatusCode, len(body))
		}
		one := wait(t, &web.records, func() []telemetry.Request { return web.records.requests }, func(r telemetry.Request) bool { return r.Path == "/big" })
		if one.Code != 200 || one.BytesOut != 3<<20 || !one.MTLS || one.Flag != "" {
			t.Errorf("record %+v", one)
		}
		wait(t, &cart.records, func() []telemetry.Request { return cart.records.requests }, func(r telemetry.Request) bool { return r.MTLS && r.Source.Identity == web.id.String() })
	})
}

func TestBodiesAndTrailers(t *testing.T) {
	each(t, func(t *testing.T, client *http.Client, _ string, _, _ *pod) {
		for _, size := range []int{0, 1, 1000, 70_000, 2 << 20} {
			for _, known := range []bool{true, false} {
				payload := bytes.Repeat([]byte("0123456789abcde\n"), size/16+1)[:size]
				var body io.Reader = bytes.NewReader(payload)
				if !known {
					body = io.MultiReader(body) // hides the length
				}
				r := request(t, "POST", "/echo", body)
				if !known {
					r.Trailer = http.Header{"X-Asked": {"please"}}
				}
				resp, got := do(t, client, r)
				if !bytes.Equal(got, payload) {
					t.Fatalf("%d bytes, known %v: got %d back: %.200q", size, known, len(got), got)
				}
				want := strings.TrimSpace(fmt.Sprintf("%x %s", sha256.Sum256(payload), r.Trailer.Get("X-Asked")))
				if sum := resp.Trailer.Get("X-Sum"); sum != want {
					t.Errorf("%d bytes, known %v: trailer %q, want %q", size, known, sum, want)
				}
			}
		}
	})
}

func TestEarlyAnswers(t *testing.T) {
	each(t, func(t *testing.T, client *http.Client, _ string, _, _ *pod) {
		resp, _ := do(t, client, request(t, "POST", "/early", io.LimitReader(zeroes{}, 1<<20)))
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("status %d", resp.StatusCode)
		}
		hints := 0
		r := request(t, "GET", "/hints", nil)
		r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			if code == http.StatusEarlyHints && h.Get("Link") != "" {
				hints++
			}
			return nil
		}}))
		if resp, _ := do(t, client, r); resp.StatusCode != 200 || hints != 1 {
			t.Errorf("status %d after %d hints", resp.StatusCode, hints)
		}
		resp, err := client.Do(request(t, "GET", "/abort", nil))
		if err != nil {
			return // it is also right to say nothing
		}
		defer func() { _ = resp.Body.Close() }()
		if _, err := io.ReadAll(resp.Body); err == nil {
			t.Error("half a response looks like a whole one")
		}
	})
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestCookiesAreOneField(t *testing.T) {
	each(t, func(t *testing.T, client *http.Client, _ string, _, _ *pod) {
		r := request(t, "GET", "/cookies", nil)
		for i := range 3 {
			r.AddCookie(&http.Cookie{Name: "c" + fmt.Sprint(i), Value: "v"})
		}
		if _, body := do(t, client, r); string(body) != "c0=v; c1=v; c2=v" {
			t.Errorf("%q", body)
		}
	})
}

func TestManyAtOnce(t *testing.T) {
	each(t, func(t *testing.T, client *http.Client, _ string, _, _ *pod) {
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				payload := strings.Repeat(fmt.Sprint(i, " "), 1+i*37)
				r := must(http.NewRequestWithContext(t.Context(), "POST", "http://cart.shop/echo", strings.NewReader(payload)))
				resp, err := client.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = resp.Body.Close() }()
				if got, err := io.ReadAll(resp.Body); err != nil || string(got) != payload {
					t.Errorf("%d: %d bytes of %d, %v: %.100q", i, len(got), len(payload), err, got)
				}
			})
		}
		wg.Wait()
	})
}
