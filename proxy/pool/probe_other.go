//go:build !linux

package pool

import "net"

// probe knows nothing here: a connection is taken to be fine until it is used.
type probe struct{}

func newProbe(net.Conn) probe { return probe{} }

func (p *probe) quiet() bool { return true }
func (p *probe) ended() bool { return false }
