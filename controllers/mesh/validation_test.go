package mesh_test

import (
	"os"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/leno-mesh/leno/test/apiserver"
)

// TestValidation is what the API server says about a Mesh: accepted when says is empty, refused with these words if not.
func TestValidation(t *testing.T) {
	c, err := client.New(apiserver.Start(t).Config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for what, tc := range map[string]struct{ mesh, says string }{
		"nothing but the name":         {"metadata: {name: default}", ""},
		"another name":                 {"metadata: {name: other}", `is named "default"`},
		"everything":                   {"{metadata: {name: default}, spec: {trustDomain: shop.example, mtls: {mode: Strict}, outbound: {policy: RegistryOnly}, issuerRef: {name: vault, kind: ClusterIssuer}, proxy: {image: 'r.example/p:1', logLevel: debug, accessLog: true, resources: {limits: {memory: 64Mi}}}, certificate: {lifetime: 1h30m}}}", ""},
		"a trust domain in capitals":   {"{metadata: {name: default}, spec: {trustDomain: Shop}}", "looks like a DNS name"},
		"a trust domain with a path":   {"{metadata: {name: default}, spec: {trustDomain: shop/a}}", "looks like a DNS name"},
		"an unknown mode":              {"{metadata: {name: default}, spec: {mtls: {mode: Maybe}}}", `supported values: "Permissive", "Strict"`},
		"a policy that denies":         {"{metadata: {name: default}, spec: {outbound: {policy: Deny}}}", ""},
		"an unknown policy":            {"{metadata: {name: default}, spec: {outbound: {policy: Ask}}}", `supported values: "Allow", "Deny", "RegistryOnly"`},
		"an issuer without a name":     {"{metadata: {name: default}, spec: {issuerRef: {kind: Issuer}}}", "issuerRef.name"},
		"a wrong kind of cert-manager": {"{metadata: {name: default}, spec: {issuerRef: {name: a, kind: VaultIssuer}}}", "Issuer and ClusterIssuer"},
		"the kind of another group":    {"{metadata: {name: default}, spec: {issuerRef: {name: a, kind: VaultIssuer, group: vault.example}}}", ""},
		"a lifetime that is too short": {"{metadata: {name: default}, spec: {certificate: {lifetime: 30s}}}", "between 1m and 720h"},
		"a lifetime that is too long":  {"{metadata: {name: default}, spec: {certificate: {lifetime: 721h}}}", "between 1m and 720h"},
		"a lifetime in words":          {"{metadata: {name: default}, spec: {certificate: {lifetime: one day}}}", "spec.certificate.lifetime"},
		"an unknown level of logs":     {"{metadata: {name: default}, spec: {proxy: {logLevel: trace}}}", `supported values: "debug"`},
		"an empty image":               {"{metadata: {name: default}, spec: {proxy: {image: ''}}}", "spec.proxy.image"},
		"a quantity that is none":      {"{metadata: {name: default}, spec: {proxy: {resources: {limits: {memory: lots}}}}}", "spec.proxy.resources"},
	} {
		t.Run(what, func(t *testing.T) {
			var obj unstructured.Unstructured
			if err := yaml.Unmarshal([]byte(tc.mesh), &obj.Object); err != nil {
				t.Fatal(err)
			}
			obj.SetAPIVersion("mesh.leno.dev/v1alpha1")
			obj.SetKind("Mesh")
			err := c.Create(t.Context(), &obj, client.DryRunAll)
			apiserver.Says(t, err, tc.says)
			if err == nil && what == "nothing but the name" {
				defaults(t, obj)
			}
		})
	}
}

func defaults(t *testing.T, obj unstructured.Unstructured) {
	t.Helper()
	text, err := yaml.Marshal(obj.Object["spec"])
	if err != nil {
		t.Fatal(err)
	}
	const want = `certificate:
  lifetime: 24h
mtls:
  mode: Permissive
outbound:
  policy: Allow
proxy:
  image: leno-proxy:dev
  logLevel: info
  resources:
    requests:
      cpu: 10m
      memory: 32Mi
trustDomain: cluster.local
`
	if string(text) != want {
		t.Errorf("defaults:\n%s\nwant:\n%s", text, want)
	}
}

// TestSample: the sample that shows every field is accepted, and has no field that does not exist.
func TestSample(t *testing.T) {
	c, err := client.New(apiserver.Start(t).Config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../config/samples/mesh.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var obj unstructured.Unstructured
	if err := yaml.Unmarshal(text, &obj.Object); err != nil {
		t.Fatal(err)
	}
	if err := c.Create(t.Context(), &obj, client.FieldValidation("Strict")); err != nil {
		t.Error(err)
	}
}
