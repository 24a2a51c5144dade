package main

import (
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/internal/mesh"
)

func TestInitDryRun(t *testing.T) {
	var out strings.Builder
	err := runInit([]string{"--dry-run", "--exclude-outbound-ports=5432, 25", "--exclude-inbound-ports=9100",
		"--exclude-outbound-cidrs=10.0.0.0/8,2001:db8::7"}, &out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"meta skuid 15015 return", "tcp dport 25 return", "tcp dport 5432 return", "tcp dport 9100 return", "tcp dport 15020 return",
		"ip daddr 10.0.0.0/8 return", "ip6 daddr 2001:db8::7 return", "redirect to :15001", "redirect to :15006",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, &out)
		}
	}
}

func TestInitRefuses(t *testing.T) {
	for flag, want := range map[string]string{
		"--exclude-outbound-ports=http":     `"http" is not a port`,
		"--exclude-inbound-ports=0":         `"0" is not a port`,
		"--exclude-inbound-ports=70000":     `"70000" is not a port`,
		"--exclude-outbound-cidrs=10.0.0/8": "is not a network",
		"--outbound-port=0":                 "not a port",
		"--health-port=99999":               "not a port",
		"--proxy-uid=0":                     "proxy user id 0",
	} {
		if err := runInit([]string{"--dry-run", flag}, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", flag, err, want)
		}
	}
}

func TestSidecarConfigNamesWhatIsMissing(t *testing.T) {
	t.Setenv(mesh.EnvPodName, "")
	var level slog.LevelVar
	_, err := sidecarConfig([]string{"--namespace=shop", "--service-account=web", "--pod-ips=10.0.0.1"}, slog.New(slog.DiscardHandler), &level)
	if err == nil || !strings.Contains(err.Error(), "--pod is not set") {
		t.Errorf("got %v", err)
	}
	_, err = sidecarConfig([]string{"--log-level=loud"}, slog.New(slog.DiscardHandler), &level)
	if err == nil || !strings.Contains(err.Error(), "use debug, info, warn or error") {
		t.Errorf("got %v", err)
	}
}

func TestPodAddresses(t *testing.T) {
	own, err := podAddresses("10.0.0.7,fd00::7")
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]bool{"10.0.0.7:80": true, "[fd00::7]:80": true, "10.0.0.8:80": false} {
		to := netip.MustParseAddrPort(address)
		if got, ok := own.owns(to); ok != want || ok && got != to {
			t.Errorf("%s: %v, %v", address, got, ok)
		}
	}
	if _, err := podAddresses("10.0.0"); err == nil {
		t.Error("a broken address was accepted")
	}
}

func TestReadProbes(t *testing.T) {
	probes, err := readProbes(`[{"container":"web","kind":"readiness","tcp":{"port":80}}]`)
	if err != nil || len(probes) != 1 || probes[0].TCP.Port != 80 {
		t.Errorf("%+v, %v", probes, err)
	}
	if _, err := readProbes("{"); err == nil {
		t.Error("broken JSON was accepted")
	}
}
