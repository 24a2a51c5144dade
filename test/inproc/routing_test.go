package inproc_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/proxy/telemetry"
	"github.com/leno-mesh/leno/test/inproc"
)

func TestWeights(t *testing.T) {
	m := inproc.Start(t, inproc.Options{}, inproc.Shop, inproc.Split(80, 20))
	client := m.Client("client")
	// 1,000 draws deviate by more than 8 points once in ten thousand million runs.
	if got := client.Shares(1000, "catalog:80/"); got["catalog-v2"] < 120 || got["catalog-v2"] > 280 {
		t.Errorf("weights 80 and 20 give %v", got)
	}
	m.Apply(inproc.Shop, inproc.Split(0, 100))
	m.Eventually("all go to v2", func() bool { return client.Shares(20, "catalog:80/")["catalog-v2"] == 20 })
	if status := m.Status("catalog"); !strings.Contains(status, "Accepted=true") || !strings.Contains(status, "ResolvedRefs=true") {
		t.Errorf("status %s", status)
	}
}

// TestHost: the Host header selects nothing; the address that was dialled does.
func TestHost(t *testing.T) {
	m := inproc.Start(t, inproc.Options{}, inproc.Shop, inproc.Split(0, 100))
	client := m.Client("client")
	answer := client.Do(http.MethodGet, m.Pod("client").Address(t, "catalog-v1:80"), "/", "catalog")
	if answer.Seen.Owner != "catalog-v1" || answer.Seen.Host != "catalog" {
		t.Errorf("Host catalog at the address of catalog-v1: %+v", answer)
	}
}

func TestRules(t *testing.T) {
	m := inproc.Start(t, inproc.Options{}, inproc.Shop, inproc.Route("catalog", "catalog", `
  - name: canary
    matches: [{headers: [{name: X-Canary, value: "yes"}]}]
    backendRefs: [{name: catalog-v2, port: 80}]
  - name: slow
    matches: [{path: {value: /slow}}]
    timeouts: {request: 100ms}
    backendRefs: [{name: catalog-v1, port: 80}]
  - name: moved
    matches: [{path: {value: /moved}}]
    filters:
    - type: RequestRedirect
      requestRedirect: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /here}, statusCode: 308}
  - name: rewritten
    matches: [{path: {value: /old}}]
    filters:
    - type: URLRewrite
      urlRewrite: {hostname: new.example, path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}}
    - type: RequestHeaderModifier
      requestHeaderModifier: {set: [{name: X-Set, value: a}], add: [{name: X-Add, value: b}], remove: [X-Remove]}
    - type: ResponseHeaderModifier
      responseHeaderModifier: {set: [{name: X-Answered, value: c}]}
    backendRefs: [{name: catalog-v1, port: 80}]
  - name: broken
    matches: [{path: {value: /broken}}]
    backendRefs: [{name: nobody, port: 80}]
  - name: rest
    matches: [{path: {value: /rest}}]
    backendRefs: [{name: catalog-v1, port: 80}]`))
	client := m.Client("client")
	expect := func(answer inproc.Answer, status int, owner string) {
		t.Helper()
		if answer.Err != nil || answer.Status != status || answer.Seen.Owner != owner {
			t.Errorf("got %d from %q (%v), want %d from %q", answer.Status, answer.Seen.Owner, answer.Err, status, owner)
		}
	}
	expect(client.Get("catalog:80/", "X-Canary: yes"), 200, "catalog-v2")
	expect(client.Get("catalog:80/rest", "X-Canary: yes"), 200, "catalog-v1") // a longer path weighs more than a header
	expect(client.Get("catalog:80/rest", "X-Canary: no"), 200, "catalog-v1")
	expect(client.Get("catalog:80/nothing"), 404, "")
	expect(client.Get("catalog:80/broken"), 500, "")
	expect(client.Get("catalog:80/slow", "X-Delay: 30s"), 504, "")
	expect(client.Get("catalog:80/slow"), 200, "catalog-v1")
	expect(client.Get("catalog-v2:80/nothing"), 200, "catalog-v2")

	moved := client.Get("catalog:80/moved/a?b=c")
	expect(moved, 308, "")
	if location := moved.Header.Get("Location"); !strings.HasSuffix(location, "/here/a?b=c") {
		t.Errorf("Location %q", location)
	}
	old := client.Get("catalog:80/old/a?b=c", "X-Add: first", "X-Remove: x", "X-Set: x")
	expect(old, 200, "catalog-v1")
	seen := old.Seen
	if seen.Path != "/new/a?b=c" || seen.Host != "new.example" || seen.Headers.Get("X-Set") != "a" || seen.Headers.Get("X-Remove") != "" ||
		strings.Join(seen.Headers["X-Add"], ",") != "first,b" || old.Header.Get("X-Answered") != "c" {
		t.Errorf("the application saw %+v; the client %v", seen, old.Header)
	}
	if status := m.Status("catalog"); !strings.Contains(status, "ResolvedRefs=false BackendNotFound") {
		t.Errorf("status %s", status)
	}
}

// TestExternalAuth: the other version of the catalog decides who may pass, and is asked over mutual TLS.
func TestExternalAuth(t *testing.T) {
	m := inproc.Start(t, inproc.Options{}, inproc.Shop, inproc.Route("catalog", "catalog", `
  - name: guarded
    filters:
    - type: ExternalAuth
      externalAuth:
        protocol: HTTP
        backendRef: {name: catalog-v2, port: 80}
        http: {path: /check, allowedHeaders: [X-Status], allowedResponseHeaders: [X-From-App]}
    backendRefs: [{name: catalog-v1, port: 80}]
  - name: closed
    matches: [{path: {value: /closed}}]
    filters:
    - {type: ExternalAuth, externalAuth: {protocol: HTTP, backendRef: {name: nobody, port: 80}, http: {}}}
    backendRefs: [{name: catalog-v1, port: 80}]`))
	client := m.Client("client")
	if allowed := client.Get("catalog:80/a?b", "X-From-App: forged"); allowed.Status != 200 || allowed.Seen.Owner != "catalog-v1" ||
		allowed.Seen.Path != "/a?b" || allowed.Seen.Headers.Get("X-From-App") != "catalog-v2" {
		t.Errorf("%+v", allowed)
	}
	if denied := client.Get("catalog:80/a", "X-Status: 401"); denied.Status != 401 || denied.Seen.Owner != "catalog-v2" || denied.Seen.Path != "/check/a" {
		t.Errorf("%+v", denied)
	}
	if closed := client.Get("catalog:80/closed"); closed.Status != 500 {
		t.Errorf("%+v", closed)
	}
	records := m.Pod("catalog-v2").Records
	m.Eventually("records of both questions", func() bool { return len(records.Requests(telemetry.Inbound)) == 2 })
	if r := records.Requests(telemetry.Inbound)[0]; !r.MTLS || r.Source.Identity != "spiffe://cluster.local/ns/inproc/sa/client" {
		t.Errorf("the question came from %q, mTLS %t", r.Source.Identity, r.MTLS)
	}
	if status := m.Status("catalog"); !strings.Contains(status, "Accepted=true") || !strings.Contains(status, "ResolvedRefs=false BackendNotFound") {
		t.Errorf("status %s", status)
	}
}

func TestMirror(t *testing.T) {
	m := inproc.Start(t, inproc.Options{}, inproc.Shop, inproc.Route("catalog", "catalog", `
  - filters:
    - type: RequestMirror
      requestMirror: {backendRef: {name: catalog-v2, port: 80}}
    backendRefs: [{name: catalog-v1, port: 80}]`))
	if got := m.Client("client").Shares(20, "catalog:80/"); got["catalog-v1"] != 20 {
		t.Errorf("answers came from %v", got)
	}
	mirror := m.Pod("catalog-v2").App
	m.Eventually("all are mirrored", func() bool { return mirror.Requests() >= 20 })
	if got := mirror.Requests(); got != 20 {
		t.Errorf("20 requests were mirrored %d times", got)
	}
}

// TestConsumerRoute: a route in the client's namespace applies to clients there and to nobody else.
func TestConsumerRoute(t *testing.T) {
	consumer := strings.ReplaceAll(inproc.Route("consumer", "catalog", `
  - backendRefs: [{name: catalog-v2, namespace: inproc, port: 80}]`), "namespace: inproc, name: consumer", "namespace: elsewhere, name: consumer")
	consumer = strings.Replace(consumer, "name: catalog, port: 80}]", "namespace: inproc, name: catalog, port: 80}]", 1)
	m := inproc.Start(t, inproc.Options{}, inproc.Shop, inproc.Split(100, 0), consumer)
	if got := m.Client("elsewhere/stranger").Shares(10, "catalog.inproc:80/"); got["catalog-v2"] != 10 {
		t.Errorf("the stranger got %v", got)
	}
	if got := m.Client("client").Shares(10, "catalog:80/"); got["catalog-v1"] != 10 {
		t.Errorf("the client got %v", got)
	}
}

// TestIdentity: both sidecars know who is at the other end.
func TestIdentity(t *testing.T) {
	m := inproc.Start(t, inproc.Options{}, inproc.Shop)
	if answer := m.Client("client").Get("catalog-v1:80/"); answer.Status != 200 {
		t.Fatalf("%+v", answer)
	}
	for owner, direction := range map[string]telemetry.Direction{"client": telemetry.Outbound, "catalog-v1": telemetry.Inbound} {
		records := m.Pod(owner).Records
		m.Eventually("a record of "+owner, func() bool { return len(records.Requests(direction)) > 0 })
		r := records.Requests(direction)[0]
		if !r.MTLS || r.Source.Identity != "spiffe://cluster.local/ns/inproc/sa/client" || r.Destination.Identity != "spiffe://cluster.local/ns/inproc/sa/catalog-v1" {
			t.Errorf("%s of %s: mTLS %t from %q to %q", direction, owner, r.MTLS, r.Source.Identity, r.Destination.Identity)
		}
	}
}

// TestStrict: without a certificate nobody gets in where the mesh is strict, and everybody where it is permissive.
func TestStrict(t *testing.T) {
	m := inproc.Start(t, inproc.Options{}, inproc.Shop)
	client := m.Client("client")
	at := m.Pod("catalog-v1").IP.String() + ":8080" // not through the client's sidecar
	if answer := client.Do(http.MethodGet, at, "/", "catalog"); answer.Status != 200 {
		t.Errorf("permissive: %+v", answer)
	}
	m.Apply(inproc.Shop, "apiVersion: mesh.leno.dev/v1alpha1\nkind: Mesh\nmetadata: {name: default}\nspec: {mtls: {mode: Strict}}\n")
	m.Eventually("plain text is refused", func() bool {
		return inproc.Fresh(t).Do(http.MethodGet, at, "/", "catalog").Err != nil
	})
	if answer := client.Get("catalog-v1:80/"); answer.Status != 200 {
		t.Errorf("through the mesh: %+v", answer)
	}
}
