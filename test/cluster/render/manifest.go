package render

import (
	_ "embed"
	"strings"

	"github.com/leno-mesh/leno/test/cluster/layout"
)

//go:embed coredns.yaml
var coreDNS string

// CoreDNS is the manifest of the cluster's DNS: a real Deployment of the image behind the kube-dns Service.
func CoreDNS(image string) string {
	return strings.NewReplacer("{{.Domain}}", layout.Domain, "{{.Image}}", image, "{{.IP}}", layout.DNSIP).Replace(coreDNS)
}
