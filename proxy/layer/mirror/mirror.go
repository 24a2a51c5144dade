// Package mirror decides which requests are copied to a second backend (Gateway API HTTPRequestMirrorFilter).
package mirror

import "github.com/leno-mesh/leno/proxy/config"

// Mirror is a compiled config.Mirror.
type Mirror struct {
	Cluster     string
	numerator   uint64
	denominator uint64
}

// Compile prepares mirrors. A denominator of 0 stands for 100, the API's default.
func Compile(list []config.Mirror) []Mirror {
	out := make([]Mirror, 0, len(list))
	for _, c := range list {
		m := Mirror{c.Cluster, uint64(c.Numerator), uint64(c.Denominator)}
		if m.denominator == 0 {
			m.denominator = 100
		}
		if m.numerator > 0 {
			out = append(out, m)
		}
	}
	return out
}

// Sampled tells whether a request that drew the random bits is copied: numerator of denominator of all are.
func (m *Mirror) Sampled(bits uint64) bool {
	return m.numerator >= m.denominator || bits%m.denominator < m.numerator
}
