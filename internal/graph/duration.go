package graph

import (
	"fmt"
	"regexp"
	"time"
)

// gep2257 is the form of a duration in the Gateway API.
var gep2257 = regexp.MustCompile(`^([0-9]{1,5}(h|m|s|ms)){1,4}$`)

// parseDuration reads a duration as GEP-2257 defines it: Go's form without fractions, signs and units below milliseconds.
func parseDuration(text string) (time.Duration, error) {
	if !gep2257.MatchString(text) {
		return 0, fmt.Errorf("%.40q is no duration: write whole numbers with h, m, s or ms, like 1h30m or 500ms", text)
	}
	return time.ParseDuration(text)
}
