package plan

import (
	"testing"
	"time"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/proto"

	"github.com/leno-mesh/leno/internal/identity/devca"
	"github.com/leno-mesh/leno/proxy/config"
)

func newCertificate(t *testing.T, name string) *config.Certificate {
	t.Helper()
	ca, err := devca.New(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Server(time.Hour, "www.example.com")
	if err != nil {
		t.Fatal(err)
	}
	chain, key, err := devca.PEM(pair)
	if err != nil {
		t.Fatal(err)
	}
	text := func(pem []byte) *corev3.DataSource {
		return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: pem}}
	}
	body, err := proto.Marshal(&tlsv3.Secret{Name: name, Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
		CertificateChain: text(chain), PrivateKey: text(key),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := config.Decode(config.SecretType, name, "1", body)
	if err != nil {
		t.Fatal(err)
	}
	return r.Certificate
}

func TestPorts(t *testing.T) {
	const secret = "certificate/edge/c"
	cfg := base()
	chain := func(name string, terminates bool) config.Chain {
		c := config.Chain{Names: []string{name}, Listener: &config.Listener{Name: "gateway/443", Service: name, Shares: []config.Share{{Cluster: "c", Weight: 1}}}}
		if terminates {
			c.TLS = &config.Termination{Certificates: []string{secret}}
		}
		return c
	}
	cfg.Ports = map[uint16]*config.Port{
		80:  {Number: 80, Plain: &config.Listener{Protocol: config.HTTP, Routes: "t", Edge: true}},
		443: {Number: 443, Chains: []config.Chain{chain("www.example.com", true), chain("*.example.com", false)}},
	}
	without := Next(nil, cfg)
	if c := without.Port(443).ServerName("www.example.com"); !c.Terminates || c.TLS != nil {
		t.Error("a chain terminates TLS without a certificate")
	}
	given := *cfg
	given.Certificates = map[string]*config.Certificate{secret: newCertificate(t, secret)}
	first := Next(without, &given)
	port := first.Port(443)
	www := port.ServerName("WWW.example.com")
	if www.TLS == nil || www.Destination.Service != "www.example.com" || port.ServerName("a.example.com").Terminates || port.ServerName("") != nil || port.Plain != nil {
		t.Errorf("%+v", www)
	}
	if plain := first.Port(80).Plain; plain.Destination.Routes == nil || plain.Destination.Address.Port() != 80 || first.Chain(plain.Key) != plain {
		t.Errorf("%+v", plain)
	}
	if first.Port(81) != nil || first.Chain(ChainKey{Port: 81}) != nil || first.Chain(ChainKey{Port: 443}) != nil {
		t.Error("there is something where nothing is configured")
	}

	same := given
	second := Next(first, &same)
	if second.Chain(www.Key).TLS != www.TLS {
		t.Error("clients cannot resume their sessions after a change that has nothing to do with them")
	}
	renewed := given
	renewed.Certificates = map[string]*config.Certificate{secret: newCertificate(t, secret)}
	if third := Next(second, &renewed); third.Chain(www.Key).TLS == www.TLS {
		t.Error("a renewed certificate is not in use")
	}
}
