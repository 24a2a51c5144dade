package contender

import (
	"bytes"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// hops are all kinds that scenarios have.
func hops() []Hop {
	var all []Hop
	for _, protocol := range []Protocol{HTTP1, HTTP2, GRPC, TCP} {
		for _, big := range []bool{false, true} {
			plain := Hop{
				Protocol: protocol, Big: big, Listen: "127.0.0.1:1001", Upstream: "127.0.0.1:1002", Roots: "/roots.pem",
				Own: Certificate{Chain: "/own.pem", Key: "/own-key.pem", Both: "/own-both.pem"},
			}
			client, server := plain, plain
			client.UpstreamTLS, client.Peer = true, "spiffe://cluster.local/ns/bench/sa/server"
			server.ListenTLS, server.Peer = true, "spiffe://cluster.local/ns/bench/sa/client"
			all = append(all, plain, client, server)
		}
	}
	return all
}

// The programs themselves check their configuration when they start; here it must be complete, and speak of TLS exactly
// where there is some.
func TestTemplates(t *testing.T) {
	for _, name := range []string{"nginx.conf", "haproxy.cfg", "envoy.yaml"} {
		for _, h := range hops() {
			var b bytes.Buffer
			if err := templates.ExecuteTemplate(&b, name, h.values("/dir")); err != nil {
				t.Fatalf("%s for %+v: %v", name, h, err)
			}
			text := b.String()
			if strings.Contains(text, "<no value>") {
				t.Errorf("%s for %+v lacks a value:\n%s", name, h, text)
			}
			secured := strings.Contains(text, h.Own.Chain) || strings.Contains(text, h.Own.Both)
			if secured != (h.ListenTLS || h.UpstreamTLS) {
				t.Errorf("%s for %+v: certificate used: %v", name, h, secured)
			}
			if name == "envoy.yaml" {
				var parsed map[string]any
				if err := yaml.Unmarshal(b.Bytes(), &parsed); err != nil {
					t.Errorf("%s for %+v: %v\n%s", name, h, err, text)
				}
			}
		}
	}
}
