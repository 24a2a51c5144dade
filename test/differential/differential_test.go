//go:build differential

package differential

import (
	"flag"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/internal/identity/devca"
)

var (
	seed   = flag.Uint64("seed", seedFromEnvironment(), "seed of the random configurations and requests (or SEED in the environment)")
	random = flag.Int("random", 40, "number of random configurations")
	only   = flag.String("only", "", "part of the names of the requests to send; verdicts are not checked for rot then")
)

func seedFromEnvironment() uint64 {
	n, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64)
	if err != nil {
		return 1
	}
	return n
}

// least is how many requests the test must compare; fewer mean that a generator has gone silent.
const least = 150

func TestDifferential(t *testing.T) {
	t.Logf("seed %d", *seed)
	b := newBackends(t)
	u := newUnion(t, b)
	u.addWire()
	u.addCases()
	u.addRandom(*seed, *random)
	both := start(t, u)
	v := readVerdicts(t, "verdicts.yaml")
	var sent, different int
	for _, r := range all(u, *seed) {
		if !strings.Contains(r.name, *only) {
			continue
		}
		sent++
		began := time.Now()
		differences := both.compare(r)
		if took := time.Since(began); took > time.Second {
			t.Logf("%s took %v", r.name, took.Round(time.Millisecond))
		}
		if len(differences) > 0 {
			different++
		}
		for _, d := range differences {
			if accepted := v.accept(r, d); accepted == nil {
				t.Errorf("%s: %s", r.name, d)
			} else if testing.Verbose() {
				t.Logf("%s: %s: %s", r.name, d, accepted.Reason)
			}
		}
	}
	report(t, v, sent, different)
	if *only != "" {
		return
	}
	for _, problem := range v.rotten() {
		t.Error(problem)
	}
	if sent < least {
		t.Errorf("%d requests were compared, at least %d are wanted", sent, least)
	}
}

func all(u *union, seed uint64) []*request {
	var routes []*request
	u.nameSessions()
	for _, d := range u.destinations {
		switch {
		case d.table == nil && len(d.sessions) > 0:
			c := call{method: "GET", path: "/", host: d.port.Name.Name}
			routes = append(routes, &request{name: d.name + "/session", to: d, raw: c.raw(), session: true})
		case d.table != nil && !isRandom(d):
			routes = append(routes, u.requests(d)...)
		}
	}
	routes = alsoHTTP2(append(routes, randomRequests(u, seed)...), seed)
	return append(routes, wireRequests(u)...)
}

func report(t *testing.T, v *verdicts, sent, different int) {
	fmt.Printf("%d requests compared, %d the same, %d with differences (seed %d)\n", sent, sent-different, different, *seed)
	for _, one := range v.list {
		fmt.Printf("%6d  %s: %s\n", one.used, one.What, one.Reason)
	}
}

// planes are the two data planes, with their addresses by destination.
type planes struct {
	t           testing.TB
	backends    *backends
	leno, envoy map[netip.AddrPort]string
}

func start(t *testing.T, u *union) *planes {
	t.Helper()
	ca, err := devca.New(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	id, err := identity.New("cluster.local", client.Namespace, client.Name)
	if err != nil {
		t.Fatal(err)
	}
	svid, err := ca.SVID(id, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	p := startPlane(t, u, ca.Bundle().PEM())
	out := &planes{t: t, backends: u.backends}
	begin := time.Now()
	out.envoy = startEnvoy(t, p, svid, u.destinations)
	out.leno = startLeno(t, p, svid, u.destinations)
	t.Logf("%d destinations, both planes ready after %v", len(u.destinations), time.Since(begin).Round(time.Millisecond))
	refusals(t, p)
	return out
}

// refusals fails the test for each resource that a data plane refused.
func refusals(t testing.TB, p *plane) {
	t.Helper()
	for _, proxy := range p.Proxies() {
		for typeURL, state := range proxy.Types {
			if state.Nacks > 0 {
				t.Errorf("a data plane refused %s: %s", typeURL, state.NackMessage)
			}
		}
	}
}

// compare sends a request over both planes.
func (p *planes) compare(r *request) []difference {
	switch {
	case r.share > 0:
		return p.compareShares(r)
	case r.session:
		return p.compareSessions(r)
	}
	leno := p.send(p.leno[r.to.address], r, 0, mirrored)
	envoy := p.send(p.envoy[r.to.address], r, len(leno.seen), mirrored)
	differences := compare(r, &leno, &envoy)
	if len(differences) > 0 && r.to.copies > 0 {
		leno = p.send(p.leno[r.to.address], r, 0, patient)
		envoy = p.send(p.envoy[r.to.address], r, len(leno.seen), patient)
		differences = compare(r, &leno, &envoy)
	}
	if len(differences) == 0 || !r.to.spread {
		return differences
	}
	return p.compareAlike(r, leno, envoy)
}

// draws are how often a request is sent, at most, until both planes have sent it the same way.
const draws = 60

// compareAlike compares outcomes that weights have sent the same way. Both planes draw, since one way may be rare.
func (p *planes) compareAlike(r *request, leno, envoy outcome) []difference {
	ofLeno, ofEnvoy := map[string]outcome{}, map[string]outcome{}
	for range draws {
		l, e := chosen(&leno), chosen(&envoy)
		ofLeno[l], ofEnvoy[e] = leno, envoy
		if alike, found := ofEnvoy[l]; found {
			return compare(r, &leno, &alike)
		}
		if alike, found := ofLeno[e]; found {
			return compare(r, &alike, &envoy)
		}
		leno = p.send(p.leno[r.to.address], r, 0, mirrored)
		envoy = p.send(p.envoy[r.to.address], r, 0, mirrored)
	}
	return compare(r, &leno, &envoy)
}

// chosen is the way that weights have sent a request.
func chosen(o *outcome) string {
	var services []string
	for _, s := range o.seen {
		services = append(services, s.service)
	}
	slices.Sort(services)
	return fmt.Sprint(o.status, services)
}

const (
	// straggler is how long a request may take to a backend after its answer.
	straggler = 100 * time.Millisecond
	// mirrored is the same for the copies of requests that may have some, patient where a first look found a difference.
	mirrored = 20 * time.Millisecond
	patient  = 500 * time.Millisecond
)

// send sends a request over one plane and gathers what backends saw of it; n is how many requests are expected there.
func (p *planes) send(address string, r *request, n int, copies time.Duration) outcome {
	p.backends.forget()
	exchange := exchangeHTTP1
	if r.http2 != nil {
		exchange = exchangeHTTP2
	}
	o := exchange(address, r)
	// What a backend saw is there before its answer is; the copies of mirrors come when they come.
	limit := straggler
	if r.to.copies > 0 {
		n, limit = max(n, 1+r.to.copies), copies
	}
	// The refusal of what turned out to be malformed in its body may be faster than the backend.
	if r.malformed && r.http2 != nil && (r.http2.body != nil || r.http2.open) {
		n, limit = max(n, 1), mirrored
	}
	o.seen = p.backends.take(n, limit)
	slices.SortStableFunc(o.seen, func(a, b seen) int { return strings.Compare(a.service, b.service) })
	return o
}

// compareShares sends a request many times and compares who answers how often.
func (p *planes) compareShares(r *request) []difference {
	counts := func(addresses map[netip.AddrPort]string) (map[string]int, map[string]*outcome) {
		n, examples := map[string]int{}, map[string]*outcome{}
		for range r.share {
			o := p.send(addresses[r.to.address], r, 0, mirrored)
			n[chosen(&o)]++
			examples[chosen(&o)] = &o
		}
		return n, examples
	}
	leno, lenoExamples := counts(p.leno)
	envoy, envoyExamples := counts(p.envoy)
	every := maps.Clone(leno)
	maps.Copy(every, envoy)
	var out []difference
	for _, way := range slices.Sorted(maps.Keys(every)) {
		l, e := float64(leno[way])/float64(r.share), float64(envoy[way])/float64(r.share)
		mean := (l + e) / 2
		// Six standard deviations of the difference: a wrong alarm in a billion.
		if limit := 6 * math.Sqrt(2*mean*(1-mean)/float64(r.share)); math.Abs(l-e) > limit {
			out = append(out, difference{"share of " + way, fmt.Sprint(l), fmt.Sprint(e)})
		}
		if a, b := lenoExamples[way], envoyExamples[way]; a != nil && b != nil {
			out = append(out, compare(r, a, b)...)
		}
	}
	return out
}
