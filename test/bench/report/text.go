package report

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
)

// Table writes a scenario for a terminal.
func (s *Scenario) Table(w io.Writer) error { return table(w, s.rows(), s.remarks()) }

// Table writes memory for a terminal.
func (m *Memory) Table(w io.Writer) error { return table(w, m.rows(), m.remarks()) }

func table(w io.Writer, rows [][]string, remarks []string) error {
	t := tabwriter.NewWriter(w, 2, 0, 2, ' ', tabwriter.AlignRight)
	for _, row := range rows {
		_, _ = fmt.Fprintln(t, strings.Join(row, "\t")+"\t") // Flush tells the error
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, remark := range remarks {
		if _, err := fmt.Fprintln(w, "  "+remark); err != nil {
			return err
		}
	}
	return nil
}

// WriteBars writes the verdicts for a terminal.
func (r *Run) WriteBars(w io.Writer) error {
	for _, v := range r.Bars {
		if _, err := fmt.Fprintf(w, "%-12s  %s: %s\n", strings.ToUpper(string(v.State)), v.Bar, v.Figure); err != nil {
			return err
		}
	}
	return nil
}

// rows of a scenario's table, the first is its head.
func (s *Scenario) rows() [][]string {
	rows := [][]string{{"", "CPU µs/" + s.Unit, "spread", "of leno's", s.Unit + "s/s", "p50 µs", "p99 µs", "p99.9 µs", "CPU µs paced", "RSS idle MiB", "RSS MiB", "allocs"}}
	own := math.NaN()
	if leno := s.Result("leno"); leno != nil {
		own = Median(leno.CPU)
	}
	for _, r := range s.Results {
		if r.Failed != "" {
			continue // a remark says why
		}
		rows = append(rows, []string{
			r.Name, number(Median(r.CPU)/1e3, 2), percent(Spread(r.CPU)), number(Median(r.CPU)/own, 2), number(Median(r.PerSecond), 0),
			number(Median(r.P50)/1e3, 0), number(Median(r.P99)/1e3, 0), number(Median(r.P999)/1e3, 0), number(Median(r.PacedCPU)/1e3, 2),
			number(float64(r.Idle)/(1<<20), 1), number(Median(r.Loaded)/(1<<20), 1), number(Median(r.Allocs), 3),
		})
	}
	return rows
}

// remarks are what stands below the table.
func (s *Scenario) remarks() []string {
	var list []string
	if s.Pace > 0 {
		list = append(list, fmt.Sprintf("Latencies and paced CPU at %.0f %ss/s.", s.Pace, s.Unit))
	}
	for _, r := range s.Results {
		if r.Failed != "" {
			list = append(list, r.Name+" failed: "+r.Failed)
		}
		if r.Late != "" {
			list = append(list, r.Name+" has no latencies: "+r.Late)
		}
		if r.Note != "" {
			list = append(list, r.Name+": "+r.Note)
		}
	}
	return list
}

func (m *Memory) remarks() []string {
	var list []string
	for _, used := range m.Results {
		if used.Failed != "" {
			list = append(list, used.Name+" failed: "+used.Failed)
		}
	}
	return list
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
