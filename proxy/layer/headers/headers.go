// Package headers adds, sets and removes header fields (Gateway API HTTPHeaderFilter).
package headers

import (
	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/msg"
)

// Change is a compiled config.HeaderChange, applied in the order remove, set, add.
type Change struct {
	remove []string
	set    []field
	add    []field
}

type field struct {
	name        string
	bytes, text []byte
}

// Compile prepares c; nil for nil.
func Compile(c *config.HeaderChange) *Change {
	if c == nil {
		return nil
	}
	return &Change{remove: c.Remove, set: fields(c.Set), add: fields(c.Add)}
}

func fields(list []config.Header) []field {
	out := make([]field, len(list))
	for i, h := range list {
		out[i] = field{h.Name, []byte(h.Name), []byte(h.Value)}
	}
	return out
}

// Request changes a request. Host is not a field but the authority: it can be set, not removed or added to.
func (c *Change) Request(r *msg.Request) {
	for i := range c.set {
		if c.set[i].name == "host" {
			r.Authority = c.set[i].text
		}
	}
	c.apply(&r.Fields)
}

// Response changes a response.
func (c *Change) Response(r *msg.Response) { c.apply(&r.Fields) }

func (c *Change) apply(f *msg.Fields) {
	for _, name := range c.remove {
		f.Remove(name)
	}
	for i := range c.set {
		if s := &c.set[i]; !framed(s.name) {
			f.Set(s.name, s.bytes, s.text)
		}
	}
	for i := range c.add {
		if a := &c.add[i]; !framed(a.name) {
			f.Add(a.bytes, a.text)
		}
	}
}

// framed names the fields that the codec alone writes: one from here would frame the message in two ways.
func framed(name string) bool {
	switch name {
	case "host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te", "expect",
		"proxy-connection":
		return true
	}
	return false
}
