package inproc

import (
	"fmt"
	"strings"
)

// Deployment is one pod with a ServiceAccount of its name, behind Services of its label "app".
func Deployment(namespace, name, app string) string {
	return fmt.Sprintf(`
---
apiVersion: apps/v1
kind: Deployment
metadata: {namespace: %[1]s, name: %[2]s}
spec:
  selector: {matchLabels: {app: %[3]s, version: %[2]s}}
  template:
    metadata:
      labels: {app: %[3]s, version: %[2]s}
      annotations: {mesh.leno.dev/run: in-process}
    spec:
      serviceAccountName: %[2]s
      containers:
      - {name: app, ports: [{containerPort: 8080}, {containerPort: 9000}]}
`, namespace, name, app)
}

// Service selects pods by one label. Its port 80 is HTTP, nothing is said of its port 9000, where servers speak first.
func Service(namespace, name, label, value string) string {
	return fmt.Sprintf(`
---
apiVersion: v1
kind: Service
metadata: {namespace: %s, name: %s}
spec:
  selector: {%s: %s}
  ports:
  - {name: http, port: 80, targetPort: 8080, appProtocol: http}
  - {name: other, port: 9000}
`, namespace, name, label, value)
}

// Route is an HTTPRoute of Namespace on a Service of Namespace, with rules as YAML.
func Route(name, service, rules string) string {
	return fmt.Sprintf(`
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {namespace: %s, name: %s}
spec:
  parentRefs: [{group: "", kind: Service, name: %s, port: 80}]
  rules:
%s
`, Namespace, name, service, strings.Trim(rules, "\n"))
}

// Shop is a client, a catalog with two versions, and a client in another namespace.
var Shop = Deployment(Namespace, "client", "client") +
	Deployment(Namespace, "catalog-v1", "catalog") + Deployment(Namespace, "catalog-v2", "catalog") +
	Service(Namespace, "catalog", "app", "catalog") +
	Service(Namespace, "catalog-v1", "version", "catalog-v1") + Service(Namespace, "catalog-v2", "version", "catalog-v2") +
	Deployment("elsewhere", "stranger", "stranger")

// Split sends shares of the requests for catalog to its two versions.
func Split(v1, v2 int) string {
	return Route("catalog", "catalog", fmt.Sprintf(`
  - name: split
    backendRefs:
    - {name: catalog-v1, port: 80, weight: %d}
    - {name: catalog-v2, port: 80, weight: %d}`, v1, v2))
}

// Unrelated is Services in a namespace of their own, without pods.
func Unrelated(n int) string {
	var out strings.Builder
	for i := range n {
		out.WriteString(Service("unrelated", fmt.Sprintf("service-%d", i), "app", "none"))
	}
	return out.String()
}
