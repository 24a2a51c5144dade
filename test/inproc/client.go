package inproc

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Answer is what a client got.
type Answer struct {
	Status int
	Header http.Header
	Seen   Seen // by the application; zero when the mesh answered itself
	Err    error
}

// Client is the application of a pod as a client. It keeps connections, as most do.
type Client struct {
	t    testing.TB
	pod  *Pod
	http *http.Client
}

// Client of the first pod of a Deployment.
func (m *Mesh) Client(owner string) *Client {
	m.T.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 32}
	m.T.Cleanup(transport.CloseIdleConnections)
	return &Client{t: m.T, pod: m.Pod(owner), http: &http.Client{
		Transport: transport, Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Fresh is a client outside of the mesh, with no connection open.
func Fresh(t testing.TB) *Client {
	return &Client{t: t, http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}}
}

// Get requests "catalog:80/path" with headers given as "name: value".
func (c *Client) Get(target string, headers ...string) Answer {
	c.t.Helper()
	service, path, _ := strings.Cut(target, "/")
	return c.Do(http.MethodGet, c.pod.Address(c.t, service), "/"+path, service, headers...)
}

// Do requests a path at an address, with a Host.
func (c *Client) Do(method, address, path, host string, headers ...string) Answer {
	req, err := http.NewRequest(method, "http://"+address+path, nil)
	if err != nil {
		return Answer{Err: err}
	}
	req.Host = host
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ":")
		req.Header.Add(name, strings.TrimSpace(value))
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return Answer{Err: err}
	}
	defer resp.Body.Close()
	answer := Answer{Status: resp.StatusCode, Header: resp.Header}
	if resp.Header.Get("X-From-App") != "" {
		answer.Err = json.NewDecoder(resp.Body).Decode(&answer.Seen)
	}
	return answer
}

// Load requests a target from several goroutines until stopped.
type Load struct {
	stop   chan struct{}
	done   sync.WaitGroup
	total  atomic.Int64
	mu     sync.Mutex // guards failed
	failed []Answer
}

// Load starts one.
func (c *Client) Load(target string) *Load {
	l := &Load{stop: make(chan struct{})}
	for range 4 {
		l.done.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				default:
				}
				answer := c.Get(target)
				l.total.Add(1)
				if answer.Err != nil || answer.Status != http.StatusOK {
					l.mu.Lock()
					l.failed = append(l.failed, answer)
					l.mu.Unlock()
				}
			}
		})
	}
	return l
}

// More waits until that many further requests were answered.
func (l *Load) More(m *Mesh, n int64) {
	m.T.Helper()
	until := l.total.Load() + n
	m.Eventually("load goes on", func() bool { return l.total.Load() >= until })
}

// Lossless stops the load and fails the test if a request failed.
func (l *Load) Lossless(t testing.TB) {
	t.Helper()
	close(l.stop)
	l.done.Wait()
	for _, answer := range l.failed[:min(len(l.failed), 3)] {
		t.Errorf("failed: status %d, %v", answer.Status, answer.Err)
	}
	if len(l.failed) > 0 {
		t.Errorf("%d of %d requests failed, want none", len(l.failed), l.total.Load())
	}
}

// Shares is how many of n requests each Deployment got.
func (c *Client) Shares(n int, target string, headers ...string) map[string]int {
	c.t.Helper()
	counts := map[string]int{}
	for range n {
		answer := c.Get(target, headers...)
		if answer.Err != nil {
			c.t.Fatal(answer.Err)
		}
		if answer.Status != http.StatusOK {
			c.t.Fatalf("status %d", answer.Status)
		}
		counts[answer.Seen.Owner]++
	}
	return counts
}
