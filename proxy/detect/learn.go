package detect

import (
	"net/netip"
	"sync"
)

// maxLearnt bounds what is remembered; a sidecar dials far fewer destinations.
const maxLearnt = 4096

// learnAfter is how many greetings in a row make a destination known as server-first.
const learnAfter = 2

// Learnt remembers at which destinations the server speaks first, so that later connections are not kept waiting. A
// wrong memory costs nothing: the client is still listened to while the upstream is opened.
type Learnt struct {
	mu        sync.Mutex // guards greetings
	greetings map[netip.AddrPort]int
}

// ServerFirst tells whether to open the upstream without waiting.
func (l *Learnt) ServerFirst(to netip.AddrPort) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.greetings[to] >= learnAfter
}

// Note takes in who spoke first.
func (l *Learnt) Note(to netip.AddrPort, server bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !server {
		delete(l.greetings, to)
		return
	}
	if l.greetings == nil {
		l.greetings = map[netip.AddrPort]int{}
	}
	if _, known := l.greetings[to]; !known && len(l.greetings) >= maxLearnt {
		for oldest := range l.greetings { // any one will do: it is learnt again when it matters
			delete(l.greetings, oldest)
			break
		}
	}
	l.greetings[to] = min(l.greetings[to]+1, learnAfter)
}

// Len is how many destinations are remembered.
func (l *Learnt) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.greetings)
}
