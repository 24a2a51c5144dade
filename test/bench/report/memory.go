package report

import (
	"fmt"
	"math"
)

// Memory is what proxies need of it, one after the other.
type Memory struct {
	// Rate is requests per second of the load; Connections is how many rested.
	Rate        float64       `json:"ratePerSecond,omitempty"`
	Connections int           `json:"connections,omitempty"`
	Results     []*MemoryUsed `json:"results,omitempty"`
}

// MemoryUsed is RSS in bytes of one proxy; 0: not measured.
type MemoryUsed struct {
	Name string `json:"name"`
	Idle int64  `json:"idle"`
	// Loaded is at the fixed rate over 32 connections.
	Loaded int64 `json:"loaded,omitempty"`
	// Before and Resting are without and with the connections; each has done a request.
	Before  int64 `json:"before,omitempty"`
	Resting int64 `json:"resting,omitempty"`
	// After is Wait seconds after the connections had gone.
	After int64   `json:"after,omitempty"`
	Wait  float64 `json:"waitSeconds,omitempty"`
	// Failed says why figures are missing.
	Failed string `json:"failed,omitempty"`
}

// PerConnection is bytes per resting connection.
func (m *MemoryUsed) PerConnection(connections int) float64 {
	if m.Resting == 0 {
		return math.NaN()
	}
	return float64(m.Resting-m.Before) / float64(connections)
}

// The bars for memory.
const (
	idleBar     = 15 << 20
	loadedBar   = 26 << 20
	perConnBar  = 10 << 10
	afterBar    = 1.2 // of idle
	afterBarAge = 120 // seconds
)

// judge compares Leno with the bars.
func (m *Memory) judge() []Verdict {
	var own *MemoryUsed
	for _, used := range m.Results {
		if used.Name == "leno" {
			own = used
		}
	}
	if own == nil {
		return nil
	}
	mib := func(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
	all := []Verdict{
		{Bar: "RSS idle at most " + mib(idleBar)},
		{Bar: fmt.Sprintf("RSS at %.0f requests/s at most %s", m.Rate, mib(loadedBar))},
		{Bar: fmt.Sprintf("RSS per resting connection at most %d KiB", perConnBar>>10)},
		{Bar: fmt.Sprintf("RSS %d s after %d connections went away at most %.1f of idle", afterBarAge, m.Connections, afterBar)},
	}
	if own.Failed != "" {
		for i := range all {
			all[i] = all[i].unknown(own.Failed)
		}
		return all
	}
	all[0] = all[0].of(own.Idle <= idleBar, "%s", mib(own.Idle))
	all[1] = all[1].of(own.Loaded <= loadedBar, "%s", mib(own.Loaded))
	per := own.PerConnection(m.Connections)
	all[2] = all[2].of(per <= perConnBar, "%.1f KiB", per/(1<<10))
	ratio := float64(own.After) / float64(own.Idle)
	all[3] = all[3].of(ratio <= afterBar, "%.2f (%s) after %.0f s", ratio, mib(own.After), own.Wait)
	if own.Wait < afterBarAge && ratio > afterBar {
		all[3] = all[3].unknown(fmt.Sprintf("waited only %.0f s: %s", own.Wait, all[3].Figure))
	}
	return all
}

// rows of the table, the first is its head.
func (m *Memory) rows() [][]string {
	rows := [][]string{{"", "idle MiB", fmt.Sprintf("at %.0f/s MiB", m.Rate), fmt.Sprintf("with %d connections MiB", m.Connections),
		"KiB per connection", "after they went MiB"}}
	mib := func(n int64) string {
		if n == 0 {
			return "-"
		}
		return number(float64(n)/(1<<20), 1)
	}
	for _, used := range m.Results {
		rows = append(rows, []string{used.Name, mib(used.Idle), mib(used.Loaded), mib(used.Resting),
			number(used.PerConnection(m.Connections)/(1<<10), 1), mib(used.After)})
	}
	return rows
}
