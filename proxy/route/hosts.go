package route

import (
	"bytes"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/msg"
)

// hosts divides a table by the host that a request is for.
type hosts struct {
	names *ServerNames
	runs  []run
}

// run is the entries of one host.
type run struct {
	first   int // in the table
	entries []matcher
	index   *index
}

// newHosts divides entries; nil where all of them are for any host.
func newHosts(list []config.Host, entries []matcher) *hosts {
	if len(list) == 0 {
		return nil
	}
	h := &hosts{runs: make([]run, len(list))}
	names := make([][]string, len(list))
	first := 0
	for i := range list {
		end := min(first+list[i].Entries, len(entries))
		r := run{first: first, entries: entries[first:end]}
		if len(r.entries) >= indexFrom {
			r.index = newIndex(r.entries)
		}
		names[i], h.runs[i], first = list[i].Names, r, end
	}
	h.names = CompileServerNames(names)
	return h
}

// index finds the host of a request: its exact one, else the wildcard with the longest suffix, else any host. Names are compared
// without regard to case, and without port (RFC 9110 sections 4.2.3 and 7.2). A request that names no host, as HTTP/1.0 allows, is for
// any. None: there is none.
func (h *hosts) index(r *msg.Request) int {
	var lowered [maxHost]byte
	name := hostname(r.Authority)
	n := 0
	if len(name) <= maxHost { // a longer one is no name that anybody could have configured
		for i, c := range name {
			lowered[i] = byte(lower(rune(c)))
		}
		n = len(name)
	}
	return h.names.match(lowered[:n])
}

// Host is the index of the host of the table that a request is for; None where there is none, and in a table without hosts.
func (t *Table) Host(r *msg.Request) int {
	if t.hosts == nil {
		return None
	}
	return t.hosts.index(r)
}

// of finds the entries for a request; nil: there are none.
func (h *hosts) of(r *msg.Request) *run {
	if i := h.index(r); i != None {
		return &h.runs[i]
	}
	return nil
}

// maxHost is the longest name that DNS has (RFC 1035 section 3.1), as text.
const maxHost = 253

// hostname cuts the port off an authority.
func hostname(authority []byte) []byte {
	end := bytes.LastIndexByte(authority, ':')
	if end < 0 || bytes.IndexByte(authority[end:], ']') >= 0 {
		return authority // the colon is one of an IPv6 address
	}
	return authority[:end]
}

func (n *run) match(r *msg.Request) int {
	if n.index != nil {
		if i := n.index.match(n.entries, r); i != None {
			return n.first + i
		}
		return None
	}
	for i := range n.entries {
		if m := &n.entries[i]; m.path(r) && m.rest(r) {
			return n.first + i
		}
	}
	return None
}
