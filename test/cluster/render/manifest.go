package render

import (
	_ "embed"
	"strings"

	"github.com/leno-mesh/leno/test/cluster/layout"
)

//go:embed coredns.yaml
var coreDNS string

// CoreDNS is the manifest of the cluster's DNS: a real Deployment behind the kube-dns Service.
func CoreDNS() string {
	return strings.NewReplacer("{{.Domain}}", layout.Domain, "{{.Image}}", layout.DNSImage, "{{.IP}}", layout.DNSIP).Replace(coreDNS)
}
