package report

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
)

// Table writes a scenario for a terminal.
func (s *Scenario) Table(w io.Writer) error {
	t := tabwriter.NewWriter(w, 2, 0, 2, ' ', tabwriter.AlignRight)
	for _, row := range s.rows() {
		_, _ = fmt.Fprintln(t, strings.Join(row, "\t")+"\t")
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, r := range s.Results {
		if r.Failed != "" {
			_, _ = fmt.Fprintf(w, "  %s failed: %s\n", r.Name, r.Failed)
		}
	}
	return nil
}

// rows of a scenario's table, the first is its head.
func (s *Scenario) rows() [][]string {
	rows := [][]string{{s.Name, "CPU µs/" + s.Unit, "spread", "against leno", s.Unit + "s/s", "p50 µs", "p99 µs", "p99.9 µs", "CPU µs paced", "RSS idle MiB", "RSS MiB", "allocs"}}
	own := math.NaN()
	if leno := s.Result("leno"); leno != nil {
		own = Median(leno.CPU)
	}
	for _, r := range s.Results {
		if r.Failed != "" {
			continue // said below the table
		}
		rows = append(rows, []string{
			r.Name, number(Median(r.CPU)/1e3, 2), percent(Spread(r.CPU)), number(Median(r.CPU)/own, 2), number(Median(r.PerSecond), 0),
			number(Median(r.P50)/1e3, 0), number(Median(r.P99)/1e3, 0), number(Median(r.P999)/1e3, 0), number(Median(r.PacedCPU)/1e3, 2),
			number(float64(r.Idle)/(1<<20), 1), number(Median(r.Loaded)/(1<<20), 1), number(Median(r.Allocs), 3),
		})
	}
	return rows
}

func number(v float64, digits int) string {
	if math.IsNaN(v) {
		return "-"
	}
	return fmt.Sprintf("%.*f", digits, v)
}

func percent(v float64) string {
	if math.IsNaN(v) {
		return "-"
	}
	return fmt.Sprintf("%.0f%%", 100*v)
}
