package runner

import (
	"strings"
	"testing"
)

const metricsText = `# TYPE leno_requests_total counter
leno_requests_total{code="200",destination="shop/catalog-v1",direction="outbound",flag="",mtls="true",protocol="HTTP/1.1",route="HTTPRoute shop/catalog split",service="shop/catalog:80",source="shop/cart"} 90
leno_requests_total{code="200",destination="shop/catalog-v2",direction="outbound",flag="",mtls="true",protocol="HTTP/1.1",route="HTTPRoute shop/catalog split",service="shop/catalog:80",source="shop/cart"} 8
leno_requests_total{code="503",destination="unknown",direction="outbound",flag="UH",mtls="false",protocol="HTTP/1.1",route="HTTPRoute shop/catalog split",service="shop/catalog:80",source="shop/cart"} 2
leno_requests_total{code="200",destination="shop/cart",direction="inbound",flag="",mtls="true",protocol="HTTP/1.1",route="",service="",source="shop/frontend"} 50
`

func TestRates(t *testing.T) {
	flows, err := parseFlows(strings.NewReader(metricsText))
	if err != nil {
		t.Fatal(err)
	}
	before := map[string]map[flow]float64{"shop/cart-1": {}}
	grown := growth(before, map[string]map[flow]float64{"shop/cart-1": flows})
	got := summarize(grown, 10)
	if len(got) != 1 {
		t.Fatalf("%d services", len(got))
	}
	want := "shop/catalog:80             10.0/s   [HTTPRoute shop/catalog split]  90% catalog-v1  8% catalog-v2  2% unknown answered 503"
	if got[0].text != want {
		t.Errorf("got  %q\nwant %q", got[0].text, want)
	}
	if len(growth(map[string]map[flow]float64{"shop/cart-1": flows}, map[string]map[flow]float64{"shop/cart-1": flows})) != 0 {
		t.Error("counters that stand still grow")
	}
}
