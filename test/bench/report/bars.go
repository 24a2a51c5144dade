package report

import (
	"fmt"
	"math"
	"strings"
)

// Verdict is one bar and whether it was met.
type Verdict struct {
	Bar    string `json:"bar"`
	Figure string `json:"figure"`
	State  State  `json:"state"`
}

// State of a bar.
type State string

// The states.
const (
	Met         State = "met"
	Missed      State = "missed"
	NotMeasured State = "not measured"
)

// The bars, as parts of what others need for the same.
const (
	mainShare  = 0.95 // of the better of nginx and HAProxy, in the main scenario
	mainEnvoy  = 0.5
	anyShare   = 1.0 // of the better one, in any HTTP/1.1 scenario
	grpcEnvoy  = 0.6
	pairEnvoy  = 0.5
	tcpHAProxy = 1.1
)

// Main is the scenario that counts most.
const Main = "http1/32/1KiB"

// noAllocs is what counts as none: asking for the count allocates a little itself.
const noAllocs = 0.01

// Judge compares a run with all bars. Scenarios that did not run give no verdict.
func (r *Run) Judge() []Verdict {
	var all []Verdict
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		protocol, _, _ := strings.Cut(s.Name, "/")
		pair := strings.HasSuffix(protocol, "-mtls")
		if s.Name == Main {
			all = append(all, s.cpu(mainShare, "nginx", "haproxy"), s.cpu(mainEnvoy, "envoy"))
		} else if strings.HasPrefix(protocol, "http1") {
			all = append(all, s.cpu(anyShare, "nginx", "haproxy"))
		}
		if strings.HasPrefix(s.Name, "grpc/unary/") {
			all = append(all, s.cpu(grpcEnvoy, "envoy"))
		}
		if strings.HasPrefix(protocol, "tcp") {
			all = append(all, s.cpu(tcpHAProxy, "haproxy"))
		} else if pair {
			all = append(all, s.cpu(pairEnvoy, "envoy"))
		}
		if s.Pace > 0 {
			all = append(all, s.p99(r.Machine.Others))
		}
		if !pair && (strings.HasPrefix(protocol, "http") || strings.HasPrefix(s.Name, "grpc/unary/")) {
			all = append(all, s.allocs())
		}
	}
	return append(all, r.Memory.judge()...)
}

// cpu compares CPU time with the cheapest of the others.
func (s *Scenario) cpu(share float64, others ...string) Verdict {
	v := Verdict{Bar: fmt.Sprintf("%s: CPU per %s at most %.2f of %s", s.Name, s.Unit, share, strings.Join(others, " and "))}
	if len(others) > 1 {
		v.Bar = fmt.Sprintf("%s: CPU per %s at most %.2f of the better of %s", s.Name, s.Unit, share, strings.Join(others, " and "))
	}
	own, reason := s.comparable()
	best, name := math.Inf(1), ""
	for _, other := range others {
		if o := s.Result(other); o != nil && Median(o.CPU) < best {
			best, name = Median(o.CPU), other
		}
	}
	if name == "" && reason == "" {
		reason = "no figures of " + strings.Join(others, " or ")
	}
	if reason != "" {
		return v.unknown(reason)
	}
	ratio := Median(own.CPU) / best
	return v.of(ratio <= share, "%.2f (%.2f µs, %s %.2f µs)", ratio, Median(own.CPU)/1e3, name, best/1e3)
}

// calm is how much of the machine others may use before latencies are theirs rather than the proxy's.
const calm = 0.1

// p99 compares the tail at the fixed rate with Envoy's.
func (s *Scenario) p99(others float64) Verdict {
	v := Verdict{Bar: fmt.Sprintf("%s: p99 at %.0f/s no worse than envoy", s.Name, s.Pace)}
	own, reason := s.comparable()
	envoy := s.Result("envoy")
	if reason == "" && (!own.punctual() || envoy == nil || !envoy.punctual()) {
		reason = "no figures of both"
	}
	if reason != "" {
		return v.unknown(reason)
	}
	a, b := Median(own.P99), Median(envoy.P99)
	v = v.of(a <= b, "%.0f µs, envoy %.0f µs", a/1e3, b/1e3)
	if others > calm {
		return v.unknown(fmt.Sprintf("others used %.0f%% of the machine; %s", 100*others, v.Figure))
	}
	return v
}

// punctual tells whether a contender has kept the pace in all rounds.
func (r *Result) punctual() bool { return r.Late == "" && len(r.P99) > 0 }

func (s *Scenario) allocs() Verdict {
	v := Verdict{Bar: fmt.Sprintf("%s: no heap allocations per %s", s.Name, s.Unit)}
	own, reason := s.comparable()
	if reason != "" {
		return v.unknown(reason)
	}
	n := Median(own.Allocs)
	return v.of(n < noAllocs, "%.3f", n)
}

// comparable gives Leno's figures, or why they say nothing.
func (s *Scenario) comparable() (own *Result, reason string) {
	switch own = s.Result("leno"); {
	case own == nil:
		return nil, "no figures of leno"
	case own.Note != "":
		return nil, own.Note
	}
	return own, ""
}

func (v Verdict) unknown(reason string) Verdict {
	v.State, v.Figure = NotMeasured, reason
	return v
}

func (v Verdict) of(met bool, format string, args ...any) Verdict {
	v.Figure, v.State = fmt.Sprintf(format, args...), Missed
	if met {
		v.State = Met
	}
	return v
}
