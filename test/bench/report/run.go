// Package report is what a run of the benchmark found: as data, as text, as a picture, and against the bars it has to meet.
package report

import (
	"math"
	"slices"
	"time"
)

// Run is everything that one run found.
type Run struct {
	Date      time.Time  `json:"date"`
	Commit    string     `json:"commit"`
	Machine   Machine    `json:"machine"`
	Settings  Settings   `json:"settings"`
	Programs  []Program  `json:"programs"`
	Scenarios []Scenario `json:"scenarios"`
	Memory    Memory     `json:"memory,omitzero"`
	Bars      []Verdict  `json:"bars"`
}

// Machine is where it ran.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory string `json:"memory"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	// Others is the part of the time of both cores that was used by programs that are not of the benchmark.
	Others float64 `json:"usedByOthers"`
}

// Settings that change what figures mean.
type Settings struct {
	Rounds   int           `json:"rounds"`
	Duration time.Duration `json:"durationNanoseconds"`
	Share    float64       `json:"paceShare"`
}

// shorter is by how much rounds for latencies are shorter than the others, and more. A machine that others share stands still
// for some milliseconds now and then, which spoils the tail of the round that it hits, whoever's that is: of many short ones
// it hits few, and the median of those is not among them.
const shorter = 3

// LatencyRounds is how many rounds there are at a fixed rate.
func (s Settings) LatencyRounds() int { return shorter * s.Rounds }

// LatencyRound is how long each of them takes.
func (s Settings) LatencyRound() time.Duration { return s.Duration / shorter }

// Program is a contender, or why there is none.
type Program struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	Missing string `json:"missing,omitempty"`
}

// Scenario holds one scenario's figures.
type Scenario struct {
	Name string `json:"name"`
	Unit string `json:"unit"`
	// Pace is the fixed rate per second of the latencies; 0: not measured.
	Pace    float64   `json:"pacePerSecond,omitempty"`
	Results []*Result `json:"results"`
}

// Result is one contender in one scenario. Slices have an element per round.
type Result struct {
	Name string `json:"name"`
	// CPU is nanoseconds of CPU per operation of all its processes, user and system, in a closed loop.
	CPU []float64 `json:"cpuNanoseconds"`
	// PerSecond is how many operations the closed loop reached; it depends on the load generator too.
	PerSecond []float64 `json:"perSecond"`
	// Latencies and CPU time at the fixed rate.
	P50      []float64 `json:"p50Nanoseconds,omitempty"`
	P99      []float64 `json:"p99Nanoseconds,omitempty"`
	P999     []float64 `json:"p999Nanoseconds,omitempty"`
	PacedCPU []float64 `json:"pacedCPUNanoseconds,omitempty"`
	// RSS in bytes, of all its processes: before the first connection, and at the end of each round.
	Idle   int64     `json:"rssIdle"`
	Loaded []float64 `json:"rssLoaded"`
	// Allocs is heap objects per operation; Leno only.
	Allocs []float64 `json:"allocs,omitempty"`
	// Late says why latencies are missing.
	Late string `json:"late,omitempty"`
	// Note says why the figures cannot be compared with those of others.
	Note string `json:"note,omitempty"`
	// Failed says why figures are missing.
	Failed string `json:"failed,omitempty"`
}

// Result of a contender; nil when it has no figures.
func (s *Scenario) Result(name string) *Result {
	for _, r := range s.Results {
		if r.Name == name && len(r.CPU) > 0 && r.Failed == "" {
			return r
		}
	}
	return nil
}

// Scenario finds one by name; nil when it did not run.
func (r *Run) Scenario(name string) *Scenario {
	for i := range r.Scenarios {
		if r.Scenarios[i].Name == name {
			return &r.Scenarios[i]
		}
	}
	return nil
}

// Median of values; NaN of none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// Spread is the distance between the largest and the smallest value as a part of the median.
func Spread(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	return (slices.Max(values) - slices.Min(values)) / Median(values)
}
