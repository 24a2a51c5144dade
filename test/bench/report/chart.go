package report

import (
	"fmt"
	"html"
	"io"
	"slices"
	"strings"
)

// Measures of the chart in pixels.
const (
	labelWidth = 200
	barWidth   = 520
	barHeight  = 12
	barGap     = 3
	groupGap   = 18
	headHeight = 54
	margin     = 16
)

// colours of the contenders, readable on white and on dark grounds.
var colours = map[string]string{"leno": "#2a9d5c", "nginx": "#4c78a8", "haproxy": "#e0902f", "envoy": "#b0568f", "relay": "#9a9a9a"}

// highlights are what a chart of a run with many scenarios shows.
var highlights = []string{Main, "http1/32/64KiB", "http1/32/1MiB", "http1-mtls/32/1KiB", "http2/64/1KiB", "grpc/unary/64", "grpc-mtls/unary/64", "tcp/4/bulk"}

// Chart draws CPU per operation as SVG: a group of bars per scenario, each group on a scale of its own.
func (r *Run) Chart(w io.Writer) error {
	var b strings.Builder
	y := headHeight
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		if len(r.Scenarios) <= len(highlights) || slices.Contains(highlights, s.Name) {
			y = s.draw(&b, y)
		}
	}
	width := labelWidth + barWidth + 140
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">
<rect width="100%%" height="100%%" fill="#ffffff"/>
<text x="%d" y="22" font-size="15">CPU time of the proxy per operation: shorter is better</text>
<text x="%d" y="40" fill="#666666">%s. Each scenario has a scale of its own.</text>
%s</svg>
`, width, y+margin, margin, margin, html.EscapeString(fmt.Sprintf("%s, one worker, commit %.12s", r.Machine.CPU, r.Commit)), b.String())
	return err
}

// draw adds a scenario at y, and gives where the next one begins.
func (s *Scenario) draw(b *strings.Builder, y int) int {
	longest := 0.0
	for _, one := range s.Results {
		if s.Result(one.Name) != nil {
			longest = max(longest, Median(one.CPU))
		}
	}
	if longest == 0 {
		return y
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" font-weight="bold">%s</text>`+"\n", margin, y+barHeight-2, html.EscapeString(s.Name))
	for _, one := range s.Results {
		if s.Result(one.Name) == nil {
			continue
		}
		cpu := Median(one.CPU)
		colour, ok := colours[one.Name]
		if !ok {
			colour = "#777777"
		}
		label := one.Name
		if one.Note != "" {
			label += " (" + one.Note + ")"
		}
		length := max(1, int(cpu/longest*barWidth))
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>`+"\n", labelWidth, y, length, barHeight, colour)
		fmt.Fprintf(b, `<text x="%d" y="%d">%s µs %s</text>`+"\n", labelWidth+length+5, y+barHeight-2, number(cpu/1e3, 1), html.EscapeString(label))
		y += barHeight + barGap
	}
	return y + groupGap
}
