package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/proxy/capture"
)

// runInit sets the redirection rules of the network namespace it runs in.
func runInit(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("leno-proxy init", flag.ContinueOnError)
	uid := flags.Uint("proxy-uid", mesh.ProxyUID, "user id of the sidecar, whose traffic is left alone")
	outbound := flags.Uint("outbound-port", mesh.PortOutbound, "port of the sidecar for the application's connections")
	inbound := flags.Uint("inbound-port", mesh.PortInbound, "port of the sidecar for connections to the application")
	health := flags.Uint("health-port", mesh.PortHealth, "port of the sidecar for health and metrics, reached directly")
	outboundPorts := flags.String("exclude-outbound-ports", "", "comma list of destination ports to leave alone")
	outboundCIDRs := flags.String("exclude-outbound-cidrs", "", "comma list of destination networks to leave alone")
	inboundPorts := flags.String("exclude-inbound-ports", "", "comma list of the pod's ports to leave alone")
	dryRun := flags.Bool("dry-run", false, "print the rules and do nothing")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	settings := capture.Settings{ProxyUID: uint32(*uid)}
	for _, f := range []struct {
		name string
		from uint
		to   *uint16
	}{{"outbound-port", *outbound, &settings.OutboundPort}, {"inbound-port", *inbound, &settings.InboundPort}} {
		if f.from == 0 || f.from > 65535 {
			return fmt.Errorf("--%s %d: not a port", f.name, f.from)
		}
		*f.to = uint16(f.from)
	}
	if *health > 65535 {
		return fmt.Errorf("--health-port %d: not a port", *health)
	}
	settings.OwnPorts = []uint16{uint16(*health)}
	var err error
	if settings.ExcludeOutboundPorts, err = ports(*outboundPorts); err != nil {
		return fmt.Errorf("--exclude-outbound-ports: %w", err)
	}
	if settings.ExcludeInboundPorts, err = ports(*inboundPorts); err != nil {
		return fmt.Errorf("--exclude-inbound-ports: %w", err)
	}
	if settings.ExcludeOutboundCIDRs, err = cidrs(*outboundCIDRs); err != nil {
		return fmt.Errorf("--exclude-outbound-cidrs: %w", err)
	}
	table, err := capture.Ruleset(settings)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprint(out, table)
	if *dryRun {
		return nil
	}
	return capture.Install(capture.Netlink{}, table)
}

func ports(list string) ([]uint16, error) {
	var found []uint16
	for _, text := range split(list) {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("%q is not a port (1 to 65535)", text)
		}
		found = append(found, uint16(n))
	}
	return found, nil
}

func cidrs(list string) ([]netip.Prefix, error) {
	var found []netip.Prefix
	for _, text := range split(list) {
		if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
			found = append(found, netip.PrefixFrom(address, address.BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%q is not a network like 10.0.0.0/8 or 2001:db8::/32", text)
		}
		found = append(found, prefix)
	}
	return found, nil
}

// split reads a comma list; empty entries are left out.
func split(list string) []string {
	var found []string
	for text := range strings.SplitSeq(list, ",") {
		if text = strings.TrimSpace(text); text != "" {
			found = append(found, text)
		}
	}
	return found
}

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}
