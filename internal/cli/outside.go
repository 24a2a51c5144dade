package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/xds"
	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/route"
)

// explainOutside prints what becomes of a request for a host that is no Service: its address is taken for one that the mesh does not know.
func explainOutside(out io.Writer, e engine, q question) error {
	standard := "80"
	if q.target.Scheme == "https" {
		standard = "443"
	}
	number, err := strconv.ParseUint(cmp.Or(q.target.Port(), standard), 10, 16)
	if err != nil {
		return fmt.Errorf("--to: port: %w", err)
	}
	port, client, policy := uint16(number), e.client(q.from), e.mesh.Settings.Outbound
	fmt.Fprintf(out, "%s %s from namespace %s\n", q.method, q.target, client.Namespace)
	fmt.Fprintf(out, "%s is no Service of the manifests; for hosts outside of the mesh spec.outbound.policy of the Mesh is %s\n", q.target.Hostname(), policy)
	switch policy {
	case mesh.OutboundAllow:
		fmt.Fprintln(out, "the connection passes as it is")
		return nil
	case mesh.OutboundDeny:
		fmt.Fprintln(out, "the connection is closed")
		return nil
	case mesh.OutboundRegistryOnly:
	}
	return explainRegistered(out, e, client, port, q)
}

// explainRegistered prints what becomes of a request for a host that may be registered.
func explainRegistered(out io.Writer, e engine, client mesh.Name, port uint16, q question) error {
	secure := q.target.Scheme == "https"
	r, err := e.resource(client, xds.ListenerType, xds.ListenerName(xds.CatchAll(port)))
	if err != nil && !errors.Is(err, xds.ErrUnknown) {
		return err
	}
	if l := r.Listener; l != nil {
		if !secure {
			return e.follow(out, client, l, q)
		}
		names := make([][]string, len(l.SNI))
		for i := range l.SNI {
			names[i] = l.SNI[i].Names
		}
		if i := route.CompileServerNames(names).Match(q.target.Hostname()); i != route.None {
			return e.printShares(out, client, &config.Listener{Origin: l.SNI[i].Origin, Shares: l.SNI[i].Shares})
		}
	}
	what := "the answer is 403"
	if secure {
		what = "the connection is closed"
	}
	fmt.Fprintf(out, "no XBackend of namespace %s registers that host at port %d: %s\n", client.Namespace, port, what)
	return nil
}
