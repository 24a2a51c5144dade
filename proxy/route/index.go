package route

import (
	"bytes"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/msg"
)

// index finds the entries whose path can match, by the path and by each of its prefixes of whole elements; of those
// the first in the table wins, as in a walk.
type index struct {
	exact  map[string][]int32
	prefix map[string][]int32
	always []int32 // any path, or a regular expression
}

func newIndex(entries []matcher) *index {
	x := &index{exact: map[string][]int32{}, prefix: map[string][]int32{}}
	for i := range entries {
		m := &entries[i]
		switch m.kind {
		case config.PathExact:
			x.exact[m.value] = append(x.exact[m.value], int32(i))
		case config.PathPrefix:
			x.prefix[m.value] = append(x.prefix[m.value], int32(i))
		default:
			x.always = append(x.always, int32(i))
		}
	}
	return x
}

func (x *index) match(entries []matcher, r *msg.Request) int {
	best := int32(len(entries))
	best = first(entries, r, x.exact[string(r.Path)], best)
	for end := len(r.Path); end > 0; end = bytes.LastIndexByte(r.Path[:end], '/') {
		best = first(entries, r, x.prefix[string(r.Path[:end])], best)
	}
	for _, i := range x.always {
		if i >= best {
			break
		}
		if m := &entries[i]; m.path(r) && m.rest(r) {
			best = i
			break
		}
	}
	if int(best) == len(entries) {
		return None
	}
	return int(best)
}

// first finds the first of the ascending candidates that matches, if it comes before best.
func first(entries []matcher, r *msg.Request, candidates []int32, best int32) int32 {
	for _, i := range candidates {
		if i >= best {
			break
		}
		if entries[i].rest(r) {
			return i
		}
	}
	return best
}
