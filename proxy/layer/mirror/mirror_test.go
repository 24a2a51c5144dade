package mirror

import (
	"testing"

	"github.com/leno-mesh/leno/proxy/config"
)

func TestSampled(t *testing.T) {
	for _, tc := range []struct {
		num, den uint32
		want     int // of 1000 consecutive draws
	}{{1, 1, 1000}, {50, 100, 500}, {1, 4, 250}, {20, 0, 200}, {1, 1000, 1}, {150, 100, 1000}} {
		m := Compile([]config.Mirror{{Numerator: tc.num, Denominator: tc.den}})[0]
		got := 0
		for bits := range uint64(1000) {
			if m.Sampled(bits) {
				got++
			}
		}
		if got != tc.want {
			t.Errorf("%d of %d: %d of 1000", tc.num, tc.den, got)
		}
	}
	if len(Compile([]config.Mirror{{Cluster: "c", Denominator: 100}})) != 0 {
		t.Error("a mirror of no requests is kept")
	}
}
