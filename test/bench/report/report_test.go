package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// sample is a run with one scenario that meets its bars, and one in which a contender has failed.
func sample() *Run {
	r := &Run{
		Date: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Commit: "0123456789abcdef", Machine: Machine{CPU: "fast & cheap", Cores: 2},
		Settings: Settings{Rounds: 3, Duration: time.Second},
		Programs: []Program{{Name: "leno", Version: "1"}, {Name: "envoy", Missing: "no network"}},
		Scenarios: []Scenario{
			{Name: Main, Unit: "request", Pace: 1000, Results: []*Result{
				{Name: "leno", CPU: []float64{9000, 10000, 9500}, PerSecond: []float64{1, 2, 3}, P99: []float64{100, 300, 200}, Allocs: []float64{0, 0, 0.001}},
				{Name: "nginx", CPU: []float64{10100}},
				{Name: "haproxy", CPU: []float64{12000}},
				{Name: "envoy", CPU: []float64{30000}, P99: []float64{250}},
			}},
			{Name: "tcp/4/bulk", Unit: "MiB", Results: []*Result{{Name: "leno", CPU: []float64{500}}, {Name: "haproxy", Failed: "no splice", CPU: []float64{1}}}},
		},
	}
	r.Bars = r.Judge()
	return r
}

func TestMedianAndSpread(t *testing.T) {
	if m := Median([]float64{3, 1, 2}); m != 2 {
		t.Errorf("median of three: %v", m)
	}
	if m := Median([]float64{4, 1, 2, 3}); m != 2.5 {
		t.Errorf("median of four: %v", m)
	}
	if s := Spread([]float64{9, 10, 11}); math.Abs(s-0.2) > 1e-9 {
		t.Errorf("spread: %v", s)
	}
	if !math.IsNaN(Median(nil)) || !math.IsNaN(Spread(nil)) {
		t.Error("nothing has a median or a spread")
	}
}

func TestJudge(t *testing.T) {
	want := []struct {
		bar, figure string
		state       State
	}{
		{"http1/32/1KiB: CPU per request at most 0.95 of the better of nginx and haproxy", "0.94 (9.50 µs, nginx 10.10 µs)", Met},
		{"http1/32/1KiB: CPU per request at most 0.50 of envoy", "0.32 (9.50 µs, envoy 30.00 µs)", Met},
		{"http1/32/1KiB: p99 at 1000/s no worse than envoy", "0 µs, envoy 0 µs", Met},
		{"http1/32/1KiB: no heap allocations per request", "0.000", Met},
		{"tcp/4/bulk: CPU per MiB at most 1.10 of haproxy", "no figures of haproxy", NotMeasured},
	}
	var got []Verdict
	for _, w := range want {
		got = append(got, Verdict{w.bar, w.figure, w.state})
	}
	if bars := sample().Bars; !slices.Equal(bars, got) {
		t.Errorf("bars:\n%q\nwant:\n%q", bars, got)
	}
}

// One change at a time to a run that meets its bars, and what becomes of one of them.
func TestJudgeNotices(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Run)
		bar    int
		want   State
	}{
		"more CPU":       {func(r *Run) { r.Scenarios[0].Results[0].CPU = []float64{9600} }, 0, Missed},
		"a longer tail":  {func(r *Run) { r.Scenarios[0].Results[0].P99 = []float64{251} }, 2, Missed},
		"a busy machine": {func(r *Run) { r.Machine.Others = 0.2 }, 2, NotMeasured},
		"a lost pace":    {func(r *Run) { r.Scenarios[0].Results[0].Late = "not done" }, 2, NotMeasured},
		"allocations":    {func(r *Run) { r.Scenarios[0].Results[0].Allocs = []float64{1} }, 3, Missed},
		"a note":         {func(r *Run) { r.Scenarios[0].Results[0].Note = "opaque" }, 0, NotMeasured},
		"a failure":      {func(r *Run) { r.Scenarios[0].Results[0].Failed = "died" }, 1, NotMeasured},
	} {
		r := sample()
		c.change(r)
		if got := r.Judge()[c.bar]; got.State != c.want {
			t.Errorf("%s: %+v, want %s", name, got, c.want)
		}
	}
}

func TestJudgeMemory(t *testing.T) {
	used := &MemoryUsed{Name: "leno", Idle: 10 << 20, Loaded: 27 << 20, Before: 12 << 20, Resting: 12<<20 + 100*(10<<10), After: 12 << 20, Wait: 120}
	m := Memory{Rate: 2000, Connections: 100, Results: []*MemoryUsed{used}}
	states := func() (list []State) {
		for _, v := range m.judge() {
			list = append(list, v.State)
		}
		return list
	}
	if got, want := states(), []State{Met, Missed, Met, Met}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	used.Resting, used.After, used.Wait = used.Resting+100, 13<<20, 30
	if got, want := states(), []State{Met, Missed, Missed, NotMeasured}; !slices.Equal(got, want) {
		t.Errorf("with too much: %v, want %v", got, want)
	}
	used.Failed = "died"
	if got := states(); slices.Contains(got, Met) {
		t.Errorf("a proxy that died met a bar: %v", got)
	}
}

func TestMarkdownTellsEverything(t *testing.T) {
	var b bytes.Buffer
	if err := sample().Markdown(&b, "chart.svg"); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		"0123456789abcdef", "**envoy took no part**: no network", "](chart.svg)", "## tcp/4/bulk", "haproxy failed: no splice",
		"| leno | 9.50 | 11% | 1.00 | 2 | - | 0 |", "| http1/32/1KiB: no heap allocations per request | met | 0.000 |",
	} {
		if !strings.Contains(b.String(), part) {
			t.Errorf("no %q in\n%s", part, b.String())
		}
	}
	if strings.Contains(b.String(), "NaN") {
		t.Errorf("NaN in\n%s", b.String())
	}
}

func TestChartIsXML(t *testing.T) {
	var b bytes.Buffer
	if err := sample().Chart(&b); err != nil {
		t.Fatal(err)
	}
	bars := 0
	for d := xml.NewDecoder(bytes.NewReader(b.Bytes())); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, b.String())
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "rect" {
			bars++
		}
	}
	if bars != 1+4+1 { // the ground, four contenders, and the one of the second scenario that did not fail
		t.Errorf("%d rectangles in\n%s", bars, b.String())
	}
}

func TestSave(t *testing.T) {
	dir := t.TempDir()
	base, err := sample().Save(dir)
	if err != nil || !strings.HasSuffix(base, "2026-01-02") {
		t.Fatalf("%q, %v", base, err)
	}
	var back Run
	if err := json.Unmarshal(read(t, base+".json"), &back); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(back.Bars, sample().Bars) {
		t.Errorf("bars came back as %+v", back.Bars)
	}
	for _, ending := range []string{".md", ".svg"} {
		if len(read(t, base+ending)) == 0 {
			t.Errorf("%s is empty", ending)
		}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
