// Package redirect makes the Location of a redirect (Gateway API HTTPRequestRedirectFilter).
package redirect

import (
	"bytes"
	"strconv"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/layer/rewrite"
	"github.com/leno-mesh/leno/proxy/msg"
)

// Redirect is a compiled config.Redirect.
type Redirect struct {
	Status   int
	scheme   string
	hostname string
	port     uint16
	path     *rewrite.Path
}

// Compile prepares c for requests that matched the prefix matched; nil for nil. Status 0 is 302, the API's default.
func Compile(c *config.Redirect, matched string) *Redirect {
	if c == nil {
		return nil
	}
	r := &Redirect{Status: c.Status, scheme: c.Scheme, hostname: c.Hostname, port: c.Port,
		path: rewrite.CompilePath(c.Path, matched)}
	if r.Status == 0 {
		r.Status = 302
	}
	return r
}

// AppendLocation writes the Location for a request that came over scheme to port. Parts that are not given come from
// the request. The port is the one given; else the well-known one of the scheme given; else the one the request came
// to. It is left out where it is the well-known one of the resulting scheme.
func (d *Redirect) AppendLocation(dst []byte, r *msg.Request, scheme string, port uint16) []byte {
	switch {
	case d.port != 0:
		port = d.port
	case d.scheme != "" && wellKnown(d.scheme) != 0:
		port = wellKnown(d.scheme)
	}
	if d.scheme != "" {
		scheme = d.scheme
	}
	dst = append(dst, scheme...)
	dst = append(dst, "://"...)
	if d.hostname != "" {
		dst = append(dst, d.hostname...)
	} else {
		dst = append(dst, hostname(r.Authority)...)
	}
	if port != 0 && port != wellKnown(scheme) {
		dst = append(dst, ':')
		dst = strconv.AppendUint(dst, uint64(port), 10)
	}
	if d.path != nil {
		dst = d.path.Append(dst, r.Path)
	} else {
		dst = append(dst, r.Path...)
	}
	if r.HasQuery {
		dst = append(dst, '?')
		dst = append(dst, r.Query...)
	}
	return dst
}

func wellKnown(scheme string) uint16 {
	switch scheme {
	case "http":
		return 80
	case "https":
		return 443
	}
	return 0
}

// hostname cuts the port off an authority; brackets of an IPv6 literal stay.
func hostname(authority []byte) []byte {
	if len(authority) > 0 && authority[0] == '[' {
		if i := bytes.IndexByte(authority, ']'); i >= 0 {
			return authority[:i+1]
		}
	}
	if i := bytes.IndexByte(authority, ':'); i >= 0 {
		return authority[:i]
	}
	return authority
}
