package merge

import (
	"slices"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leno-mesh/leno/internal/status"
)

// maxMessage is the longest message that the API server takes, in characters; bytes are the safe side of that.
const maxMessage = 32768

// conditions replaces those that Leno owns by the wanted ones; others stay. A condition keeps its time of transition as long as its
// status stays.
func conditions(
	existing []metav1.Condition, want []status.Condition, owned []string, generation int64, now metav1.Time,
) ([]metav1.Condition, bool) {
	var out []metav1.Condition
	changed := false
	for _, c := range want {
		next := condition(c, generation, now)
		i := slices.IndexFunc(existing, func(e metav1.Condition) bool { return e.Type == c.Type })
		if i < 0 {
			changed = true
		} else {
			if existing[i].Status == next.Status {
				next.LastTransitionTime = existing[i].LastTransitionTime
			}
			changed = changed || !Equal(existing[i], next)
		}
		out = append(out, next)
	}
	for _, e := range existing {
		wanted := slices.ContainsFunc(want, func(c status.Condition) bool { return c.Type == e.Type })
		switch {
		case wanted:
		case slices.Contains(owned, e.Type):
			changed = true // ours, and not true any more
		default:
			out = append(out, e)
		}
	}
	return out, changed
}

// Equal tells whether two conditions mean the same; their times do not matter.
func Equal(a, b metav1.Condition) bool {
	a.LastTransitionTime, b.LastTransitionTime = metav1.Time{}, metav1.Time{}
	return a == b
}

func condition(c status.Condition, generation int64, now metav1.Time) metav1.Condition {
	out := metav1.Condition{
		Type: c.Type, Status: metav1.ConditionFalse, Reason: c.Reason, Message: clip(c.Message),
		ObservedGeneration: generation, LastTransitionTime: now,
	}
	if c.Status {
		out.Status = metav1.ConditionTrue
	}
	return out
}

// clip cuts a message that is too long, and not within a character.
func clip(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	const rest = "…"
	end := maxMessage - len(rest)
	for !utf8.RuneStart(message[end]) {
		end--
	}
	return message[:end] + rest
}
