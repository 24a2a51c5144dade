package forward_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/proxy/config"
)

func to(cluster string, weight uint32) config.Backend {
	return config.Backend{Cluster: cluster, Weight: weight}
}

func ptr(s string) *string { return &s }

func TestRoutesDecide(t *testing.T) {
	w, b := one(t)
	w.route(
		config.Entry{Match: config.Match{PathKind: config.PathPrefix, Path: "/old"}, Action: &config.Action{
			Origin:          config.Origin{Kind: "HTTPRoute", Namespace: "ns", Name: "r", Rule: "0"},
			RequestHeaders:  &config.HeaderChange{Set: []config.Header{{Name: "x-set", Value: "rule"}}, Add: []config.Header{{Name: "x-add", Value: "a"}}, Remove: []string{"x-bad"}},
			ResponseHeaders: &config.HeaderChange{Set: []config.Header{{Name: "x-resp", Value: "rule"}}},
			Rewrite:         &config.Rewrite{Hostname: "inner", Path: &config.PathChange{Prefix: ptr("/new")}},
			Backends: []config.Backend{{Cluster: "c", Weight: 1,
				RequestHeaders:  &config.HeaderChange{Set: []config.Header{{Name: "x-set", Value: "backend"}}},
				ResponseHeaders: &config.HeaderChange{Add: []config.Header{{Name: "x-resp", Value: "backend"}}}}},
		}},
		config.Entry{Match: config.Match{PathKind: config.PathExact, Path: "/moved"}, Action: &config.Action{
			Redirect: &config.Redirect{Scheme: "https", Status: 301}}},
		config.Entry{Match: config.Match{PathKind: config.PathExact, Path: "/none"}, Action: &config.Action{}},
		config.Entry{Match: config.Match{PathKind: config.PathExact, Path: "/invalid"}, Action: &config.Action{
			Fail: &config.Failure{Status: 500, Reason: "UnsupportedValue"}}},
		config.Entry{Match: config.Match{PathKind: config.PathExact, Path: "/missing"}, Action: &config.Action{
			Backends: []config.Backend{{Weight: 1, Fail: &config.Failure{Status: 500, Reason: "BackendNotFound"}}}}},
	)
	c := w.dial()
	c.send("GET /old/x?q HTTP/1.1\r\nHost: h\r\nX-Bad: 1\r\nX-Set: 0\r\nX-Add: 0\r\n\r\n")
	up := b.accept()
	up.expect("GET /new/x?q HTTP/1.1\r\nHost: inner\r\nX-Set: backend\r\nX-Add: 0\r\nx-add: a\r\n\r\n")
	up.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	c.expect("HTTP/1.1 200 OK\r\nx-resp: rule\r\nx-resp: backend\r\nContent-Length: 0\r\n\r\n")
	if r := w.record(); r.Origin.Name != "r" {
		t.Errorf("record %+v", r)
	}
	c.send("POST /moved?a=b HTTP/1.1\r\nHost: h:8080\r\nContent-Length: 3\r\n\r\nabc")
	c.expect("HTTP/1.1 301 Moved Permanently\r\nlocation: https://h/moved?a=b\r\nContent-Length: 0\r\n\r\n")
	w.record()
	for path, want := range map[string][3]string{
		"/other":   {"404", "no route", "no_route"},
		"/none":    {"500", "no valid backend", "bad_backend"},
		"/invalid": {"500", "UnsupportedValue", "bad_route"},
		"/missing": {"500", "BackendNotFound", "bad_backend"},
	} {
		c.send("GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n")
		w.answered(c, want[0], want[1], want[2])
	}
	c.send("HEAD /other HTTP/1.1\r\nHost: h\r\n\r\n")
	if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 404") {
		t.Error(head)
	}
	c.send("GET /old HTTP/1.1\r\nHost: h\r\n\r\n") // HEAD's answer had no body
	up.expect("GET /new HTTP/1.1\r\n")
}

func TestWeights(t *testing.T) {
	w := newWorld(t)
	one, two := w.backend(), w.backend()
	w.cluster("one", one.addr())
	w.cluster("two", two.addr())
	w.route(config.Entry{Action: &config.Action{Backends: []config.Backend{to("one", 90), to("two", 10), to("none", 0)}}})
	draw := uint64(0)
	w.random = func() uint64 { return draw }
	c := w.dial()
	conns := map[*backend]*client{}
	for i, want := range map[uint64]*backend{0: one, 89: one, 90: two, 99: two, 100: one} {
		draw = i
		c.send(fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: h\r\n\r\n", i))
		if conns[want] == nil {
			conns[want] = want.accept()
		}
		conns[want].expect(fmt.Sprintf("GET /%d ", i))
		conns[want].head()
		conns[want].send("HTTP/1.1 204 No Content\r\n\r\n")
		c.head()
	}
}

func TestMirror(t *testing.T) {
	w, b := one(t)
	copies := w.backend()
	w.cluster("m", copies.addr())
	w.route(config.Entry{Action: &config.Action{
		RequestHeaders: &config.HeaderChange{Set: []config.Header{{Name: "x", Value: "1"}}},
		Mirrors:        []config.Mirror{{Cluster: "m", Numerator: 1, Denominator: 2}, {Cluster: "gone", Numerator: 1, Denominator: 1}},
		Backends:       []config.Backend{to("c", 1)}}})
	draw := uint64(0)
	w.random = func() uint64 { return draw }
	c := w.dial()

	request := "POST / HTTP/1.1\r\nHost: h\r\nx: 1\r\nContent-Length: 2\r\n\r\n"
	c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab")
	up, copied := b.accept(), copies.accept()
	up.expect(request + "ab")
	copied.expect(request + "ab")
	up.send("HTTP/1.1 204 No Content\r\n\r\n") // the copy's answer is not waited for
	c.head()
	copied.send("HTTP/1.1 500 No\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbad")

	// A body that streams is copied when it is whole.
	c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n")
	up.expect(request)
	c.send("cd")
	up.expect("cd")
	up.send("HTTP/1.1 204 No Content\r\n\r\n")
	c.head()
	copied = copies.accept()
	copied.expect(request + "cd")

	copied.send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
	draw = 1 // not in the sample
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	up.head()
	up.send("HTTP/1.1 204 No Content\r\n\r\n")
	c.head()
	draw = 0
	c.send("GET /last HTTP/1.1\r\nHost: h\r\n\r\n")
	copies.accept().expect("GET /last ")
}
