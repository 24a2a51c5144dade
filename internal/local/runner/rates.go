package runner

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/leno-mesh/leno/proxy/telemetry"
)

// requestsTotal is the counter of package telemetry.
const requestsTotal = "leno_requests_total"

// maxMetrics bounds what is read of one sidecar's metrics, in bytes.
const maxMetrics = 8 << 20

// source is a sidecar that counts requests.
type source struct {
	pod     string
	address netip.AddrPort
}

// flow is what requests are counted by, as the sidecars of their clients see them.
type flow struct {
	service     string // as dialled
	route       string // the rule that decided, empty for none
	destination string // the workload that answered, or why none did
	code        string
}

// rates turns counters into requests per second.
type rates struct {
	client http.Client
	counts map[string]map[flow]float64 // by pod
	at     time.Time
	shown  map[string]string // by service, what was said of it last
	quiet  int               // rounds in which nothing was said
}

// repeatAfter is after how many rounds everything is said again, changed or not.
const repeatAfter = 12

func newRates() *rates {
	return &rates{client: http.Client{Timeout: time.Second}, counts: map[string]map[flow]float64{}, shown: map[string]string{}}
}

// next asks the sidecars and says what is worth saying: services whose traffic changed, from time to time all of them.
func (r *rates) next(ctx context.Context, sources []source) []string {
	now := time.Now()
	counts := r.scrapeAll(ctx, sources)
	grown := growth(r.counts, counts)
	seconds := now.Sub(r.at).Seconds()
	first := r.at.IsZero()
	r.counts, r.at = counts, now
	if first {
		return nil
	}
	r.quiet++
	var said []string
	for _, s := range summarize(grown, seconds) {
		if r.shown[s.service] == s.shape && r.quiet < repeatAfter {
			continue
		}
		r.shown[s.service] = s.shape
		said = append(said, s.text)
	}
	if r.quiet >= repeatAfter {
		r.quiet = 0
	}
	return said
}

func (r *rates) scrapeAll(ctx context.Context, sources []source) map[string]map[flow]float64 {
	var mu sync.Mutex // guards counts
	var all sync.WaitGroup
	counts := map[string]map[flow]float64{}
	for _, s := range sources {
		all.Go(func() {
			flows, err := r.scrape(ctx, s.address)
			if err != nil {
				return // it is starting or ending
			}
			mu.Lock()
			defer mu.Unlock()
			counts[s.pod] = flows
		})
	}
	all.Wait()
	return counts
}

func (r *rates) scrape(ctx context.Context, address netip.AddrPort) (map[flow]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address.String()+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return parseFlows(io.LimitReader(resp.Body, maxMetrics))
}

// parseFlows reads the request counter in Prometheus' text format.
func parseFlows(text io.Reader) (map[flow]float64, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	flows := map[flow]float64{}
	for _, metric := range families[requestsTotal].GetMetric() {
		labels := labelsOf(metric)
		if labels["direction"] != string(telemetry.Outbound) {
			continue
		}
		flows[flow{
			service:     cmp.Or(labels["service"], "pods"),
			route:       labels["route"],
			destination: labels["destination"],
			code:        labels["code"],
		}] += metric.GetCounter().GetValue()
	}
	return flows, nil
}

func labelsOf(metric *dto.Metric) map[string]string {
	labels := map[string]string{}
	for _, label := range metric.GetLabel() {
		labels[label.GetName()] = label.GetValue()
	}
	return labels
}

// growth is by how much counters grew, over all pods. A counter that fell began anew.
func growth(before, after map[string]map[flow]float64) map[flow]float64 {
	grown := map[flow]float64{}
	for pod, flows := range after {
		for f, count := range flows {
			old := before[pod][f]
			if count < old {
				old = 0
			}
			if count > old {
				grown[f] += count - old
			}
		}
	}
	return grown
}

// summary is what is said of one service. Two summaries of one shape are the same to a reader.
type summary struct{ service, text, shape string }

// summarize is one line per service: requests per second, the share of each rule and workload, and of failures.
func summarize(grown map[flow]float64, seconds float64) []summary {
	type part struct{ route, destination, code string }
	totals := map[string]float64{}
	parts := map[string]map[part]float64{}
	for f, count := range grown {
		p := part{f.route, f.destination, ""}
		if !strings.HasPrefix(f.code, "2") {
			p.code = f.code
		}
		if parts[f.service] == nil {
			parts[f.service] = map[part]float64{}
		}
		parts[f.service][p] += count
		totals[f.service] += count
	}
	var out []summary
	for _, service := range slices.Sorted(maps.Keys(totals)) {
		order := slices.SortedFunc(maps.Keys(parts[service]), func(a, b part) int {
			return cmp.Or(cmp.Compare(a.route, b.route), cmp.Compare(a.destination, b.destination), cmp.Compare(a.code, b.code))
		})
		var text, shape strings.Builder
		rate := totals[service] / seconds
		fmt.Fprintf(&text, "%-24s %7.1f/s ", service, rate)
		fmt.Fprintf(&shape, "%.0f ", rate/5) // steps of 5 per second
		route := ""
		for _, p := range order {
			share := 100 * parts[service][p] / totals[service]
			if p.route != route {
				route = p.route
				fmt.Fprintf(&text, "  [%s]", route)
			}
			fmt.Fprintf(&text, "  %.0f%% %s%s", share, path.Base(p.destination), prefixed(" answered ", p.code))
			fmt.Fprintf(&shape, "%v %.0f,", p, share/10) // steps of ten points
		}
		out = append(out, summary{service: service, text: text.String(), shape: shape.String()})
	}
	return out
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}
