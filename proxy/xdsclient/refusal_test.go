package xdsclient

import (
	"fmt"
	"testing"
	"time"
)

// TestRefusalsAreBounded: an application that names all hosts costs neither memory nor the control plane much.
func TestRefusalsAreBounded(t *testing.T) {
	m := newMachine(node{})
	now := time.Unix(0, 0)
	told := 0
	for i := range 100 * maxRefusals {
		if m.refused(fmt.Sprint("refused/", i), now) {
			told++
		}
	}
	if told != maxRefusals || len(m.refusals) != maxRefusals {
		t.Errorf("%d told, %d kept", told, len(m.refusals))
	}
	now = now.Add(refusalAge)
	if !m.refused("refused/new", now) || len(m.refusals) != maxRefusals || m.refusals[0].name != "refused/1" {
		t.Errorf("the oldest does not make room after a while: %d kept, the first is %s", len(m.refusals), m.refusals[0].name)
	}
}
