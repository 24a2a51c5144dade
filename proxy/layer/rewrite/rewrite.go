// Package rewrite changes host and path of a request towards its backend (Gateway API HTTPURLRewriteFilter).
package rewrite

import (
	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/msg"
)

// Rewrite is a compiled config.Rewrite.
type Rewrite struct {
	host []byte
	path *Path
}

// Compile prepares c for requests that matched the prefix matched; nil for nil.
func Compile(c *config.Rewrite, matched string) *Rewrite {
	if c == nil {
		return nil
	}
	return &Rewrite{host: []byte(c.Hostname), path: CompilePath(c.Path, matched)}
}

// Request changes a request. Its query stays.
func (w *Rewrite) Request(r *msg.Request) {
	if len(w.host) > 0 {
		r.Authority = w.host
	}
	if w.path != nil && len(r.Path) > 0 && r.Path[0] == '/' {
		r.Scratch = w.path.Append(r.Scratch[:0], r.Path)
		r.Path = r.Scratch
	}
}

// Path replaces a path, or the prefix of it that a match found.
type Path struct {
	full   bool
	with   string // full path, or prefix without trailing slashes
	prefix int    // length of the matched prefix without trailing slashes
}

// CompilePath prepares c for paths that matched the prefix matched; nil for nil.
func CompilePath(c *config.PathChange, matched string) *Path {
	switch {
	case c == nil:
		return nil
	case c.Full != nil:
		with := *c.Full
		if with == "" || with[0] != '/' {
			with = "/" + with
		}
		return &Path{full: true, with: with}
	case c.Prefix != nil:
		return &Path{with: trim(*c.Prefix), prefix: len(trim(matched))}
	}
	return nil
}

// Append writes the new path for path to dst. It is never empty, and begins with exactly one slash where the prefix is
// replaced by nothing: two would make a redirect's Location name another host. Other empty elements stay.
func (p *Path) Append(dst, path []byte) []byte {
	if p.full {
		return append(dst, p.with...)
	}
	rest := path[min(p.prefix, len(path)):]
	for p.with == "" && len(rest) > 1 && rest[0] == '/' && rest[1] == '/' {
		rest = rest[1:]
	}
	start := len(dst)
	dst = append(dst, p.with...)
	if len(rest) == 0 && len(dst) == start || len(rest) > 0 && rest[0] != '/' {
		dst = append(dst, '/')
	}
	return append(dst, rest...)
}

func trim(p string) string {
	for len(p) > 0 && p[len(p)-1] == '/' {
		p = p[:len(p)-1]
	}
	if p != "" && p[0] != '/' {
		p = "/" + p
	}
	return p
}
