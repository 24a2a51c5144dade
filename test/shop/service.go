package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// maxAnswer bounds what is read from an upstream, in bytes.
const maxAnswer = 1 << 20

// Answer is what each service says about itself and about what it was told.
type Answer struct {
	Service   string              `json:"service"`
	Version   string              `json:"version"`
	Pod       string              `json:"pod"`
	Upstreams map[string]Upstream `json:"upstreams,omitempty"`
}

// Upstream is what came of one call. Error is set when there was no answer that could be read.
type Upstream struct {
	Status int     `json:"status,omitempty"`
	Answer *Answer `json:"answer,omitempty"`
	Error  string  `json:"error,omitempty"`
}

// service answers requests. Its fields do not change once it serves.
type service struct {
	name, version, pod string
	upstreams          map[string]string // base URL by Service name
	client             *http.Client
}

func newService(getenv func(string) string) *service {
	hostname, _ := os.Hostname()
	s := &service{
		name:      cmp.Or(getenv("SERVICE"), "shop"),
		version:   cmp.Or(getenv("VERSION"), "v1"),
		pod:       cmp.Or(getenv("POD_NAME"), hostname),
		upstreams: map[string]string{},
		client:    &http.Client{Timeout: 5 * time.Second},
	}
	for name := range strings.SplitSeq(getenv("UPSTREAMS"), ",") {
		if name = strings.TrimSpace(name); name != "" {
			s.upstreams[name] = "http://" + serviceAddress(name, getenv)
		}
	}
	return s
}

// serviceAddress finds a Service by the variables that Kubernetes sets, else by its DNS name.
func serviceAddress(name string, getenv func(string) string) string {
	prefix := strings.ToUpper(strings.ReplaceAll(name, "-", "_")) + "_SERVICE_"
	if host := getenv(prefix + "HOST"); host != "" {
		return net.JoinHostPort(host, cmp.Or(getenv(prefix+"PORT"), "80"))
	}
	return name
}

// ServeHTTP answers /healthz at once, and everything else after all upstreams were called with the same path. An
// upstream that does not answer 200 makes the answer a 502, so that no failure stays hidden.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/healthz" {
		_, _ = io.WriteString(w, "ok\n")
		return
	}
	answer := Answer{Service: s.name, Version: s.version, Pod: s.pod, Upstreams: s.callAll(r)}
	status := http.StatusOK
	for _, u := range answer.Upstreams {
		if u.Status != http.StatusOK {
			status = http.StatusBadGateway
		}
	}
	body, err := json.MarshalIndent(answer, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

func (s *service) callAll(r *http.Request) map[string]Upstream {
	var mu sync.Mutex // guards answers
	var calls sync.WaitGroup
	answers := make(map[string]Upstream, len(s.upstreams))
	for name, url := range s.upstreams {
		calls.Go(func() {
			u := s.call(r, name, url)
			mu.Lock()
			defer mu.Unlock()
			answers[name] = u
		})
	}
	calls.Wait()
	return answers
}

// call hands the request's X- headers on, as a service that takes part in tracing or in canary routing does.
func (s *service) call(r *http.Request, name, url string) Upstream {
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, url+r.URL.Path, nil)
	if err != nil {
		return Upstream{Error: err.Error()}
	}
	req.Host = name
	for header, values := range r.Header {
		if strings.HasPrefix(header, "X-") {
			req.Header[header] = values
		}
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return Upstream{Error: err.Error()}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return Upstream{Status: resp.StatusCode, Error: err.Error()}
	}
	u := Upstream{Status: resp.StatusCode, Answer: &Answer{}}
	if err := json.Unmarshal(body, u.Answer); err != nil {
		u.Answer, u.Error = nil, strings.TrimSpace(string(body[:min(len(body), 200)]))
	}
	return u
}

// serve answers until ctx ends, and then for LINGER more: whoever has not heard yet that this pod goes away is still
// served. New connections are refused only after that.
func serve(ctx context.Context, getenv func(string) string, out io.Writer) error {
	linger, err := time.ParseDuration(cmp.Or(getenv("LINGER"), "5s"))
	if err != nil {
		return fmt.Errorf("LINGER: %w", err)
	}
	s := newService(getenv)
	address := net.JoinHostPort(getenv("HOST"), cmp.Or(getenv("PORT"), "8080"))
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("HOST and PORT: %w", err)
	}
	fmt.Fprintf(out, "%s %s listens on %s\n", s.name, s.version, listener.Addr())
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	fmt.Fprintf(out, "%s %s stops in %s\n", s.name, s.version, linger)
	<-time.After(linger)
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		return fmt.Errorf("requests did not end: %w", err)
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
