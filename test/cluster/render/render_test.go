package render

import (
	"encoding/json"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/leno-mesh/leno/test/cluster/layout"
)

func cluster(t *testing.T, ipv6 bool) layout.Cluster {
	t.Helper()
	c, err := layout.New("leno", "/state", 2, ipv6)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func decode(t *testing.T, raw []byte) object {
	t.Helper()
	var o object
	if err := yaml.Unmarshal(raw, &o); err != nil {
		t.Fatalf("%v in\n%s", err, raw)
	}
	return o
}

func TestKubeletCgroupVersion(t *testing.T) {
	c := cluster(t, true)
	if _, set := decode(t, Kubelet(c, c.Nodes[0], true))["failCgroupV1"]; set {
		t.Error("cgroup v2: failCgroupV1 is set")
	}
	v1 := decode(t, Kubelet(c, c.Nodes[1], false))
	if v1["failCgroupV1"] != false {
		t.Error("cgroup v1: the kubelet would refuse to start")
	}
	if v1["cgroupRoot"] != "/leno-cluster-leno/leno-2" {
		t.Errorf("cgroupRoot %v: two kubelets must not share one", v1["cgroupRoot"])
	}
}

func TestCNIFamilies(t *testing.T) {
	for _, ipv6 := range []bool{true, false} {
		c := cluster(t, ipv6)
		var conf struct {
			Plugins []struct {
				IPAM struct {
					Ranges [][]struct{ Subnet string }
					Routes []struct{ Dst string }
				}
			}
		}
		if err := json.Unmarshal(CNI(c, c.Nodes[1]), &conf); err != nil {
			t.Fatal(err)
		}
		want := 1
		if ipv6 {
			want = 2
		}
		ipam := conf.Plugins[0].IPAM
		if len(ipam.Ranges) != want || len(ipam.Routes) != want || ipam.Ranges[0][0].Subnet != "10.244.2.0/24" {
			t.Errorf("IPv6 %t: %+v", ipv6, ipam)
		}
	}
}

func TestEverythingStaysInTheStateFolder(t *testing.T) {
	c := cluster(t, true)
	n := c.Nodes[0]
	p := Programs{Kube: "/cache/kube", Containerd: "/cache/containerd", CNI: "/cache/cni"}
	for name, raw := range map[string][]byte{
		"containerd": Containerd(n, p, "/usr/sbin/runc"), "kubelet": Kubelet(c, n, false), "kube-proxy": KubeProxy(c, n), "cni": CNI(c, n),
	} {
		for _, outside := range []string{"/var/lib/", "/run/", "/etc/", "/opt/"} {
			for line := range strings.Lines(string(raw)) {
				if strings.Contains(line, outside) && !strings.Contains(line, "/state/") && !strings.HasPrefix(line, "#") {
					t.Errorf("%s: %s", name, line)
				}
			}
		}
	}
}

func TestArgumentsFollowTheFamilies(t *testing.T) {
	dual := strings.Join(APIServer(cluster(t, true), Programs{}).Args, " ")
	single := strings.Join(APIServer(cluster(t, false), Programs{}).Args, " ")
	if !strings.Contains(dual, "--service-cluster-ip-range=10.96.0.0/16,fd00:10:96::/112") {
		t.Error("dual stack: no IPv6 service range")
	}
	if strings.Contains(single, "fd00") {
		t.Error("single stack: an IPv6 address")
	}
}

func TestCoreDNSIsFilledIn(t *testing.T) {
	m := CoreDNS("leno.dev/cluster/coredns:abc")
	if strings.Contains(m, "{{") || !strings.Contains(m, "image: leno.dev/cluster/coredns:abc") {
		t.Errorf("not filled in:\n%s", m)
	}
	for doc := range strings.SplitSeq(m, "\n---\n") {
		if o := decode(t, []byte(doc)); o["kind"] == nil {
			t.Errorf("no kind in\n%s", doc)
		}
	}
}
