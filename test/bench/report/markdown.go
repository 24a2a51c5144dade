package report

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Markdown writes the whole run. chart is the name of the picture's file.
func (r *Run) Markdown(w io.Writer, chart string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Benchmark of %s\n\n", r.Date.UTC().Format("2006-01-02 15:04 MST"))
	fmt.Fprintf(&b, "Commit %s. %s, %d cores, %s of memory, Linux %s, %s. %d rounds of %v per proxy and scenario, in turn, and %d of %v for "+
		"latencies; medians. "+
		"Other programs used %.0f %% of the machine meanwhile.\n\n", r.Commit, r.Machine.CPU, r.Machine.Cores, r.Machine.Memory, r.Machine.Kernel,
		r.Machine.Go, r.Settings.Rounds, r.Settings.Duration,
		r.Settings.LatencyRounds(), r.Settings.LatencyRound().Round(time.Millisecond), 100*r.Machine.Others)
	for _, p := range r.Programs {
		if p.Missing != "" {
			fmt.Fprintf(&b, "- **%s took no part**: %s\n", p.Name, p.Missing)
		} else {
			fmt.Fprintf(&b, "- %s: %s\n", p.Name, p.Version)
		}
	}
	fmt.Fprintf(&b, "\n![CPU time per operation](%s)\n\n%s\n", chart, howToRead)
	fmt.Fprintf(&b, "## Bars\n\n")
	rows := [][]string{{"bar", "", "figure"}}
	for _, v := range r.Bars {
		state := string(v.State)
		if v.State == Missed {
			state = "**missed**"
		}
		rows = append(rows, []string{v.Bar, state, v.Figure})
	}
	markdownTable(&b, rows, nil)
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		fmt.Fprintf(&b, "## %s\n\n", s.Name)
		markdownTable(&b, s.rows(), s.remarks())
	}
	if len(r.Memory.Results) > 0 {
		fmt.Fprintf(&b, "## Memory\n\n")
		markdownTable(&b, r.Memory.rows(), r.Memory.remarks())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

const howToRead = `CPU is user and system time of all processes of a proxy per operation in a closed loop, spread the distance between its
largest and smallest round as a part of the median. Compare figures within one scenario of one run only. Latencies are at a
fixed rate, counted from the moment an operation was due, each quantile the median of its rounds. relay copies bytes and understands nothing: the floor for Go. Names
are protocol/connections or streams/size of the answer; -mtls is a pair of proxies with mutual TLS 1.3 between them, its
figures are those of both. RSS counts what processes share for each.
`

func markdownTable(b *strings.Builder, rows [][]string, remarks []string) {
	for i, row := range rows {
		fmt.Fprintf(b, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			fmt.Fprintf(b, "|%s\n", strings.Repeat("---|", len(row)))
		}
	}
	b.WriteString("\n")
	for _, remark := range remarks {
		fmt.Fprintf(b, "%s\n\n", remark)
	}
}
