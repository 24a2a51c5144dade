package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/xds"
	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/msg"
	"github.com/leno-mesh/leno/proxy/route"
)

// question is one request that somebody asks about.
type question struct {
	from    string
	gateway string
	target  *url.URL
	method  string
	headers []string
}

func newRoute() *cobra.Command {
	var paths []string
	var to string
	q := question{}
	cmd := &cobra.Command{
		Use:   "route -f DIR --to URL",
		Short: "Tell where a request would go, and why",
		Long: `Tell where a request would go, and why: which rules were looked at, which one matched, and what happens then. The
answer comes from the code that sidecars and gateways run.

With --gateway the request is one that reaches a Gateway from outside; its listeners are chosen by the URL's port and host.
With --from, a host that is no Service is one outside of the mesh; an https URL is for TLS of the client's own.`,
		Example: `  leno route -f config/samples/shop --to http://catalog.shop/items -H 'X-Canary: yes'
  leno route -f manifests --from shop --to https://api.payments.example
  leno route -f manifests --gateway shop/web --to https://www.example.com/items`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if q.target, err = url.Parse(to); err != nil {
				return fmt.Errorf("--to: %w", err)
			}
			items, err := loadManifests(cmd, paths)
			if err != nil {
				return err
			}
			e := newEngine(items)
			switch {
			case q.gateway != "":
				return explainGateway(cmd.OutOrStdout(), e, q)
			case q.from != "" && e.outside(q.target, q.from):
				return explainOutside(cmd.OutOrStdout(), e, q)
			case q.target.Scheme != "http" || q.target.Hostname() == "":
				return errors.New("--to is http://SERVICE.NAMESPACE[:PORT][/PATH]; for a request to a Gateway say --gateway NAMESPACE/NAME, too, and for one to a host outside of the mesh --from NAMESPACE")
			}
			return explain(cmd.OutOrStdout(), e, q)
		},
	}
	filenameFlag(cmd, &paths)
	cmd.Flags().StringVar(&to, "to", "", "what is requested")
	cmd.Flags().StringVar(&q.from, "from", "", "namespace of the client; default: that of the Service")
	cmd.Flags().StringVar(&q.gateway, "gateway", "", "the Gateway that the request reaches, as namespace/name")
	cmd.Flags().StringVarP(&q.method, "method", "X", http.MethodGet, "HTTP method")
	cmd.Flags().StringArrayVarP(&q.headers, "header", "H", nil, "header as name: value (repeatable)")
	_ = cmd.MarkFlagRequired("to") // it is there
	cmd.MarkFlagsMutuallyExclusive("from", "gateway")
	return cmd
}

// explain prints the way of a request through the mesh.
func explain(out io.Writer, e engine, q question) error {
	name, address, err := e.service(q.target.Hostname(), q.from)
	if err != nil {
		return err
	}
	port, err := strconv.ParseUint(cmp.Or(q.target.Port(), "80"), 10, 16)
	if err != nil {
		return fmt.Errorf("--to: port: %w", err)
	}
	client := e.client(cmp.Or(q.from, name.Namespace))
	sp := mesh.ServicePort{Name: name, Port: uint16(port)}
	listener, err := e.resource(client, xds.ListenerType, xds.ListenerName(netip.AddrPortFrom(address, sp.Port)))
	if err != nil {
		return fmt.Errorf("port %d of Service %s: %w", port, name, err)
	}
	fmt.Fprintf(out, "%s %s from namespace %s\n", q.method, q.target, client.Namespace)
	if l := listener.Listener; l.Routes == "" && len(l.Shares) == 0 {
		version, err := e.version(client, l.Cluster)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "no route is attached to %s:%d: the request goes to its own endpoints%s\n", name, port, version)
		return e.printEndpoints(out, client, l.Cluster, "  ")
	}
	return e.follow(out, client, listener.Listener, q)
}

// follow prints what a listener does with the request.
func (e engine) follow(out io.Writer, client mesh.Name, l *config.Listener, q question) error {
	if l.Routes == "" {
		return e.printShares(out, client, l)
	}
	request, err := q.request()
	if err != nil {
		return err
	}
	routes, err := e.resource(client, xds.RouteType, l.Routes)
	if err != nil {
		return err
	}
	table, err := route.Compile(routes.Routes)
	if err != nil {
		return err
	}
	explanation := table.Explain(request)
	if explanation.Host != "" {
		fmt.Fprintf(out, "rules for host %s\n", explanation.Host)
	}
	printFilters(out, explanation.Filters)
	printSteps(out, explanation)
	if explanation.Chosen == route.None {
		if l.ByName {
			fmt.Fprintf(out, "no XBackend of namespace %s registers that host at this port: the answer is 403\n", client.Namespace)
			return nil
		}
		fmt.Fprintln(out, "no rule matches: the answer is 404")
		return nil
	}
	return e.printAction(out, client, routes.Routes.Entries[explanation.Chosen].Action)
}

// printShares tells where a connection goes that is relayed as it is.
func (e engine) printShares(out io.Writer, client mesh.Name, l *config.Listener) error {
	shares := l.Shares
	if len(shares) == 0 && l.Cluster != "" {
		shares = []config.Share{{Cluster: l.Cluster, Weight: 1}}
	}
	backends := make([]config.Backend, len(shares))
	for i, s := range shares {
		backends[i] = config.Backend{Cluster: s.Cluster, Weight: s.Weight}
	}
	fmt.Fprintf(out, "relayed as it is, by %s\n", originName(l.Origin))
	return e.printBackends(out, client, backends, true)
}

// request is the head that the sidecar would read.
func (q question) request() (*msg.Request, error) {
	r := &msg.Request{
		Method: []byte(q.method), Authority: []byte(q.target.Host), Path: []byte(cmp.Or(q.target.EscapedPath(), "/")),
		Query: []byte(q.target.RawQuery), HasQuery: q.target.RawQuery != "",
	}
	for _, header := range q.headers {
		name, value, found := strings.Cut(header, ":")
		if !found {
			return nil, fmt.Errorf("header %q: write it as name: value", header)
		}
		r.Fields.Add([]byte(strings.TrimSpace(name)), []byte(strings.TrimSpace(value)))
	}
	return r, nil
}

func originName(o config.Origin) string {
	text := fmt.Sprintf("%s %s/%s", o.Kind, o.Namespace, o.Name)
	if o.Rule != "" {
		text += " rule " + o.Rule
	}
	return text
}

// printFilters tells who is asked before rules are looked at. What they would make of the request is nobody's to know here.
func printFilters(out io.Writer, filters []*config.ExternalAuth) {
	for i, f := range filters {
		when := "first"
		if i > 0 {
			when = "then"
		}
		fmt.Fprintf(out, "%s %s is asked whether the request may pass\n", when, f.Cluster)
	}
	if len(filters) > 0 {
		fmt.Fprintln(out, "rules look at what becomes of it; here, at the request as it came:")
	}
}

func printSteps(out io.Writer, explanation route.Explanation) {
	for _, step := range explanation.Steps {
		if step.Matched {
			fmt.Fprintf(out, "  match  %s\n", originName(step.Origin))
			continue
		}
		fmt.Fprintf(out, "  no     %s: %s\n", originName(step.Origin), step.Reason)
	}
}

func (e engine) printAction(out io.Writer, client mesh.Name, action *config.Action) error {
	if action.Fail != nil {
		fmt.Fprintf(out, "the answer is %d: %s\n", action.Fail.Status, action.Fail.Reason)
		return nil
	}
	if a := action.ExternalAuth; a != nil {
		fmt.Fprintf(out, "%s is asked whether the request may pass\n", a.Cluster)
	}
	if action.Redirect != nil {
		fmt.Fprintf(out, "the answer is a redirect, %d\n", action.Redirect.Status)
		return nil
	}
	if err := e.printBackends(out, client, action.Backends, false); err != nil {
		return err
	}
	if action.Timeout > 0 {
		fmt.Fprintf(out, "within %s\n", action.Timeout)
	}
	if action.BackendTimeout > 0 {
		fmt.Fprintf(out, "each attempt within %s\n", action.BackendTimeout)
	}
	printRetry(out, action.Retry)
	if p := action.Persistence; p != nil {
		fmt.Fprintf(out, "a client stays at the endpoint that %s tells, as long as it is there\n", cmp.Or(p.Header, "the cookie "+p.Cookie))
	}
	return nil
}

// printBackends tells the shares of the backends of requests, or of connections that are relayed as they are.
func (e engine) printBackends(out io.Writer, client mesh.Name, backends []config.Backend, relayed bool) error {
	var total uint64
	for _, backend := range backends {
		total += uint64(backend.Weight)
	}
	switch {
	case total == 0 && relayed:
		fmt.Fprintln(out, "no backend has a weight: the connection is closed")
		return nil
	case total == 0:
		fmt.Fprintln(out, "the rule has no backend with a weight: the answer is 500")
		return nil
	}
	fmt.Fprintln(out, "goes to")
	for _, backend := range backends {
		share := 100 * float64(backend.Weight) / float64(total)
		switch {
		case backend.Fail != nil:
			fmt.Fprintf(out, "  %5.1f%%  nowhere: the answer is %d, %s\n", share, backend.Fail.Status, backend.Fail.Reason)
			continue
		case backend.Cluster == "" || backend.Cluster == xds.FailCluster:
			fmt.Fprintf(out, "  %5.1f%%  nowhere: the connection is closed\n", share)
			continue
		}
		version, err := "", error(nil)
		if !relayed {
			version, err = e.version(client, backend.Cluster)
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "  %5.1f%%  %s%s\n", share, backend.Cluster, version)
		if err := e.printEndpoints(out, client, backend.Cluster, "          "); err != nil {
			return err
		}
	}
	return nil
}

// printRetry says when a request is sent again, where a rule does.
func printRetry(out io.Writer, r *config.Retry) {
	switch {
	case r == nil:
		return
	case r.Attempts == 0:
		fmt.Fprintln(out, "never sent again")
		return
	}
	after := "a connection that fails or an attempt that takes too long"
	if len(r.Statuses) > 0 {
		after += fmt.Sprintf(", and after %s", strings.Trim(fmt.Sprint(r.Statuses), "[]"))
	}
	fmt.Fprintf(out, "sent again after %s: %d times at most\n", after, r.Attempts)
}

// version says which HTTP a cluster's endpoints get; nothing where that is what the client speaks.
func (e engine) version(client mesh.Name, cluster string) (string, error) {
	r, err := e.resource(client, xds.ClusterType, cluster)
	if err != nil || r.Cluster.HTTP == config.SameHTTP {
		return "", err
	}
	if r.Cluster.HTTP == config.HTTP2Only {
		return ", in HTTP/2", nil
	}
	return ", in HTTP/1.1", nil
}

func (e engine) printEndpoints(out io.Writer, client mesh.Name, cluster, indent string) error {
	c, err := e.resource(client, xds.ClusterType, cluster)
	if err != nil {
		return err
	}
	if d := c.Cluster.DNS; d != nil {
		fmt.Fprintf(out, "%s%s, port %d, outside of the mesh, found by DNS\n", indent, d.Host, d.Port)
		return nil
	}
	r, err := e.resource(client, xds.EndpointType, cluster)
	if err != nil {
		return err
	}
	for _, endpoint := range r.Endpoints.Endpoints {
		fmt.Fprintf(out, "%s%s  %s  %s\n", indent, endpoint.Address, endpoint.Workload.Pod, cmp.Or(endpoint.Identity, "plain text"))
	}
	if len(r.Endpoints.Endpoints) == 0 {
		fmt.Fprintf(out, "%sno endpoint: the answer is 503\n", indent)
	}
	return nil
}
