package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/leno-mesh/leno/internal/local"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/status"
	"github.com/leno-mesh/leno/internal/xds"
	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/route"
)

// defaultPorts are those of the schemes that --to can have with --gateway.
var defaultPorts = map[string]string{"http": "80", "https": "443", "tls": "443", "tcp": ""}

// explainGateway prints the way of a request that reaches a Gateway from outside.
func explainGateway(out io.Writer, e engine, q question) error {
	standard, known := defaultPorts[q.target.Scheme]
	port, err := strconv.ParseUint(cmp.Or(q.target.Port(), standard), 10, 16)
	if !known || q.target.Hostname() == "" || err != nil {
		return errors.New("--to is http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH] at a Gateway, or tls://HOST[:PORT], or tcp://HOST:PORT")
	}
	gateway, err := e.gateway(q.gateway)
	if err != nil {
		return err
	}
	client := gateway.Pod.Name
	found, err := e.resource(client, xds.ListenerType, xds.GatewayListenerName(uint16(port)))
	if errors.Is(err, xds.ErrUnknown) {
		//nolint:staticcheck // the name of a kind begins with a capital
		return fmt.Errorf("Gateway %s has no listener in effect at port %d%s", gateway.Name, port, e.whyNot(gateway.Name))
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s at Gateway %s\n", q.target, gateway.Name)
	l := chooseListener(out, found.Port, q)
	if l == nil {
		return nil
	}
	return e.follow(out, client, l, q)
}

// chooseListener tells which listener of a port takes the connection; nil: none does.
func chooseListener(out io.Writer, p *config.Port, q question) *config.Listener {
	secure := q.target.Scheme == "https" || q.target.Scheme == "tls"
	if p.Plain != nil {
		if secure && p.Plain.Routes != "" {
			fmt.Fprintf(out, "port %d speaks HTTP without TLS: a TLS handshake is answered 400\n", p.Number)
			return nil
		}
		return p.Plain
	}
	if !secure {
		fmt.Fprintf(out, "port %d expects TLS: the connection is closed\n", p.Number)
		return nil
	}
	names := make([][]string, len(p.Chains))
	for i := range p.Chains {
		names[i] = p.Chains[i].Names
	}
	i := route.CompileServerNames(names).Match(q.target.Hostname())
	if i == route.None {
		fmt.Fprintf(out, "no listener of port %d takes the server name %s: the handshake is refused\n", p.Number, q.target.Hostname())
		return nil
	}
	chain := &p.Chains[i]
	if chain.TLS != nil {
		fmt.Fprintf(out, "TLS ends at %s, with %s\n", originName(chain.Listener.Origin), strings.Join(chain.TLS.Certificates, ", "))
	} else {
		fmt.Fprintf(out, "TLS passes through %s\n", originName(chain.Listener.Origin))
	}
	return chain.Listener
}

// gateway finds a Gateway by namespace/name.
func (e engine) gateway(text string) (*local.Gateway, error) {
	namespace, name, ok := strings.Cut(text, "/")
	if !ok {
		return nil, fmt.Errorf("--gateway %s: write it as namespace/name", text)
	}
	g := e.plan.Gateway(mesh.Name{Namespace: namespace, Name: name})
	if g == nil {
		return nil, fmt.Errorf("no Gateway %s of a class of Leno's, like %q, in the manifests", text, mesh.GatewayClass)
	}
	return g, nil
}

// whyNot tells what the status of a Gateway, and of the ListenerSets, says of listeners that are not in effect.
func (e engine) whyNot(gateway mesh.Name) string {
	var out strings.Builder
	for _, want := range e.status {
		if (want.Kind != "Gateway" || want.Name != gateway) && want.Kind != "ListenerSet" {
			continue
		}
		for _, l := range want.Listeners {
			for _, c := range l.Conditions {
				if c.Status == (c.Type == status.TypeConflicted) {
					fmt.Fprintf(&out, "\n  %s %s listener %s: %s: %s", want.Kind, want.Name, l.Name, c.Reason, c.Message)
				}
			}
		}
	}
	return out.String()
}
