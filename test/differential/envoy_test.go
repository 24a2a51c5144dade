//go:build differential

package differential

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/internal/xds"
)

// binary is Envoy's: from the environment, as the make target sets it.
func binary(t testing.TB) string {
	t.Helper()
	path := os.Getenv("ENVOY")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("ENVOY=%q is no Envoy binary (%v): run \"make test-differential\", which fetches one", path, err)
	}
	return path
}

// startEnvoy runs Envoy with resources from the plane and returns where each destination is dialled. It ends with the test.
func startEnvoy(t testing.TB, p *plane, svid *identity.SVID, destinations []*destination) map[netip.AddrPort]string {
	t.Helper()
	dir := t.TempDir()
	file, adminFile := filepath.Join(dir, "bootstrap.json"), filepath.Join(dir, "admin")
	if err := os.WriteFile(file, bootstrap(t, p, svid), 0o600); err != nil {
		t.Fatal(err)
	}
	log := &bytes.Buffer{}
	cmd := exec.Command(binary(t), "-c", file, "--admin-address-path", adminFile, "--concurrency", "1",
		"--disable-hot-restart", "-l", "warning")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that panics leaves nothing behind
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // tells of the kill
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, "[error]") || strings.Contains(line, "[critical]") || t.Failed() {
				t.Log("Envoy: ", strings.TrimSpace(line))
			}
		}
	})
	var at map[netip.AddrPort]string
	eventually(t, "Envoy listens for all destinations", func() bool {
		if refusals(t, p); t.Failed() {
			t.FailNow()
		}
		admin, err := os.ReadFile(adminFile)
		if err != nil {
			return false
		}
		if at = listening(string(admin)); len(at) < len(destinations) {
			return false
		}
		ready, err := get(string(admin), "/ready")
		return err == nil && strings.TrimSpace(string(ready)) == "LIVE"
	})
	return at
}

// bootstrap is all that Envoy knows by itself: who it is, where the control plane is, and its certificate.
func bootstrap(t testing.TB, p *plane, svid *identity.SVID) []byte {
	t.Helper()
	host, port, err := net.SplitHostPort(p.forEnvoy)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	chain, key := pems(t, svid)
	type object = map[string]any
	address := func(host string, port int) object {
		return object{"socket_address": object{"address": host, "port_value": port}}
	}
	ads := object{"ads": object{}, "resource_api_version": "V3"}
	text, err := json.Marshal(object{
		"node":  object{"id": "sidecar~" + client.String(), "cluster": "differential"},
		"admin": object{"address": address("127.0.0.1", 0)},
		"dynamic_resources": object{
			"ads_config": object{
				"api_type": "DELTA_GRPC", "transport_api_version": "V3",
				"grpc_services": []object{{"envoy_grpc": object{"cluster_name": "control-plane"}}},
			},
			"cds_config": ads, "lds_config": ads,
		},
		"static_resources": object{
			"clusters": []object{{
				"name": "control-plane", "type": "STATIC",
				"typed_extension_protocol_options": object{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": object{
					"@type":                "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
					"explicit_http_config": object{"http2_protocol_options": object{}},
				}},
				"load_assignment": object{"cluster_name": "control-plane", "endpoints": []object{{
					"lb_endpoints": []object{{"endpoint": object{"address": address(host, number)}}},
				}}},
			}},
			"secrets": []object{{"name": xds.WorkloadSecretName, "tls_certificate": object{
				"certificate_chain": object{"inline_string": chain}, "private_key": object{"inline_string": key},
			}}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func pems(t testing.TB, svid *identity.SVID) (chain, key string) {
	t.Helper()
	for _, certificate := range svid.Chain {
		chain += string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}))
	}
	der, err := x509.MarshalPKCS8PrivateKey(svid.Key)
	if err != nil {
		t.Fatal(err)
	}
	return chain, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// listening asks which outbound listeners are there, and at which ports.
func listening(admin string) map[netip.AddrPort]string {
	body, err := get(admin, "/listeners?format=json")
	if err != nil {
		return nil
	}
	var status struct {
		Listeners []struct {
			Name    string `json:"name"`
			Address struct {
				Socket struct {
					Address string `json:"address"`
					Port    int    `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if json.Unmarshal(body, &status) != nil {
		return nil
	}
	at := map[netip.AddrPort]string{}
	for _, l := range status.Listeners {
		original, err := netip.ParseAddrPort(strings.TrimPrefix(l.Name, "outbound/"))
		if err == nil && l.Address.Socket.Port != 0 {
			at[original] = net.JoinHostPort(l.Address.Socket.Address, strconv.Itoa(l.Address.Socket.Port))
		}
	}
	return at
}

func get(admin, path string) ([]byte, error) {
	response, err := http.Get("http://" + admin + path)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %s", response.Status)
	}
	return io.ReadAll(response.Body)
}
