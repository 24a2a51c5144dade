package xdsclient

import (
	"net/netip"
	"slices"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
)

const (
	// maxRefusals is how many refusals the control plane is told of at a time, and refusalAge how old one must be to make room for
	// another: an application that tries all names costs neither memory nor the control plane much.
	maxRefusals = 64
	refusalAge  = time.Minute
)

// refusal is a connection that was refused for the host that it named, under the name by which the control plane hears of it.
type refusal struct {
	name string
	at   time.Time
}

// Refused lets the control plane know of a connection to an unknown destination that was refused; host is what the client named, "" if
// nothing. It does not wait.
func (c *Client) Refused(dst netip.AddrPort, host string) {
	c.mu.Lock()
	news := c.machine.refused(config.RefusedName(dst, host), time.Now())
	c.mu.Unlock()
	if news {
		notify(c.send)
	}
}

// refused notes a refusal; false when it is known, or there are too many.
func (m *machine) refused(name string, now time.Time) bool {
	if slices.ContainsFunc(m.refusals, func(r refusal) bool { return r.name == name }) {
		return false
	}
	if len(m.refusals) >= maxRefusals {
		if now.Sub(m.refusals[0].at) < refusalAge {
			return false
		}
		m.refusals = m.refusals[1:]
	}
	m.refusals = append(m.refusals, refusal{name, now})
	return true
}

// forgetRefusals drops those that were told: on another stream they would be told again.
func (m *machine) forgetRefusals() {
	asked := m.types[config.ListenerType].asked
	m.refusals = slices.DeleteFunc(m.refusals, func(r refusal) bool {
		_, told := asked[r.name]
		return told
	})
}
