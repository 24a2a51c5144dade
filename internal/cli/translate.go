package cli

import (
	"fmt"
	"io"
	"net/netip"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/xds"
)

func newTranslate() *cobra.Command {
	var paths []string
	var namespace string
	cmd := &cobra.Command{
		Use:   "translate -f DIR",
		Short: "Print the xDS resources that manifests become",
		Long: `Print the xDS resources that manifests become: for each port of each Service the listener, routes, cluster and
endpoints that a sidecar gets when its application dials that Service.

Services and pods get the addresses that they have in "leno run".`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			items, err := loadManifests(cmd, paths)
			if err != nil {
				return err
			}
			return translate(cmd.OutOrStdout(), newEngine(items), namespace)
		},
	}
	filenameFlag(cmd, &paths)
	cmd.Flags().StringVar(&namespace, "from", "", "namespace of the client; default: that of each Service")
	return cmd
}

// translate prints one YAML document per resource, in the order of Services, ports and types.
func translate(out io.Writer, e engine, namespace string) error {
	for _, s := range e.plan.Services {
		for _, port := range s.Ports {
			client := e.client(s.Namespace)
			if namespace != "" {
				client = e.client(namespace)
			}
			for _, r := range wanted(e.mesh, mesh.ServicePort{Name: s.Name, Port: port}, s.IP, client) {
				if err := printResource(out, e.mesh, client, r); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

type resourceName struct{ typeURL, name string }

// wanted is what a sidecar subscribes to when its application dials a Service.
func wanted(m *mesh.Mesh, sp mesh.ServicePort, address netip.Addr, client mesh.Name) []resourceName {
	names := []resourceName{
		{xds.RouteType, xds.RouteName(sp, "")}, {xds.ClusterType, xds.ClusterName(sp)}, {xds.EndpointType, xds.ClusterName(sp)},
	}
	if client.Namespace != sp.Namespace {
		names[0].name = xds.RouteName(sp, client.Namespace)
		if xds.Message(m, client, xds.RouteType, names[0].name) == nil {
			names[0].name = xds.RouteName(sp, "")
		}
	}
	if address.IsValid() {
		names = append([]resourceName{{xds.ListenerType, xds.ListenerName(netip.AddrPortFrom(address, sp.Port))}}, names...)
	}
	return names
}

// printResource prints nothing for a resource that does not exist: a port without routes has no route table.
func printResource(out io.Writer, m *mesh.Mesh, client mesh.Name, r resourceName) error {
	message := xds.Message(m, client, r.typeURL, r.name)
	if message == nil {
		return nil
	}
	text, err := renderProto(message)
	if err != nil {
		return fmt.Errorf("%s: %w", r.name, err)
	}
	_, err = fmt.Fprintf(out, "---\n# %s\n%s", r.typeURL, text)
	return err
}

// renderProto is a message as YAML with sorted keys.
func renderProto(m proto.Message) ([]byte, error) {
	text, err := protojson.Marshal(m)
	if err != nil {
		return nil, err
	}
	return yaml.JSONToYAML(text)
}
