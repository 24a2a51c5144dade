package graph

import (
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/status"
)

// maxSession bounds sessions in time. Browsers keep no cookie for longer than 400 days (RFC 6265bis, section 5.5).
const maxSession = 365 * 24 * time.Hour

// persistence reads the session persistence of a rule, or of a Service (SessionPersistence, GEP-1619); nil for nil. owner is whose
// sessions they are: names that nobody chose are made from it.
func persistence(in *gatewayv1.SessionPersistence, owner string, reject func(status.Problem)) *mesh.Persistence {
	if in == nil {
		return nil
	}
	rejectIn := func(p status.Problem) { reject(p.In("sessionPersistence")) }
	out := &mesh.Persistence{}
	if in.AbsoluteTimeout != nil {
		var err error
		if out.Timeout, err = parseDuration(string(*in.AbsoluteTimeout)); err != nil {
			rejectIn(status.Unsupported("absoluteTimeout: %v", err))
		}
		if out.Timeout > maxSession {
			rejectIn(status.Unsupported("absoluteTimeout %s: use at most %s", out.Timeout, maxSession))
		}
	}
	kind := gatewayv1.CookieBasedSessionPersistence
	if in.Type != nil {
		kind = *in.Type
	}
	switch kind {
	case gatewayv1.CookieBasedSessionPersistence:
		sessionCookie(out, in, rejectIn)
	case gatewayv1.HeaderBasedSessionPersistence:
		out.Header = true
		if in.Header != nil {
			out.Name = string(in.Header.Name)
		}
		if in.Cookie != nil {
			rejectIn(status.Unsupported("type Header has settings for a cookie: remove cookie, or use type Cookie"))
		}
	default:
		rejectIn(status.Unsupported("type %.40q is not known: use Cookie or Header", kind))
		return out
	}
	if out.Name == "" {
		out.Name = sessionName(owner)
	}
	checkSessionName(out, rejectIn)
	return out
}

// sessionName is the name of a cookie or header that nobody chose: "a unique name SHOULD be generated".
func sessionName(owner string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(owner)) // never fails
	return fmt.Sprintf("leno-session-%08x", h.Sum32())
}

// checkSessionName refuses names that browsers or proxies give a meaning of their own.
func checkSessionName(p *mesh.Persistence, reject func(status.Problem)) {
	lower := strings.ToLower(p.Name)
	switch {
	case p.Header && (lower == "cookie" || lower == "set-cookie" || lower == "host"):
		reject(status.Unsupported("header.name %s has another meaning: use a name of your own", p.Name))
	case p.Header:
		checkHeaderName(p.Name, reject)
	case !isToken(p.Name):
		reject(status.Unsupported("cookie.name %.100q has characters that no cookie's name can have", p.Name))
	case strings.HasPrefix(lower, "__secure-") || strings.HasPrefix(lower, "__host-"):
		// RFC 6265bis, section 4.1.3: browsers take these over TLS only.
		reject(status.Unsupported("cookie.name %.100q: browsers drop a cookie of that name without TLS: use a name without the prefix", p.Name))
	}
}

// sessionCookie reads what is special about cookies.
func sessionCookie(out *mesh.Persistence, in *gatewayv1.SessionPersistence, reject func(status.Problem)) {
	if in.Header != nil {
		reject(status.Unsupported("type Cookie has settings for a header: remove header, or use type Header"))
	}
	out.Path = "/"
	if in.Cookie == nil {
		return
	}
	out.Name = deref(in.Cookie.Name)
	if in.Cookie.Path != nil && *in.Cookie.Path != "" {
		out.Path = *in.Cookie.Path
	}
	if !strings.HasPrefix(out.Path, "/") || !isRequestTarget(out.Path) || strings.Contains(out.Path, ";") {
		reject(status.Unsupported("cookie.path %.100q starts without / or has characters that no cookie's path can have", out.Path))
	}
	switch gatewayv1.CookieLifetimeType(deref(in.Cookie.LifetimeType)) {
	case "", gatewayv1.SessionCookieLifetimeType:
	case gatewayv1.PermanentCookieLifetimeType:
		if out.Permanent = true; out.Timeout < time.Second {
			reject(status.Unsupported("a permanent cookie needs absoluteTimeout, of a second or more"))
		}
	default:
		reject(status.Unsupported("cookie.lifetimeType %.40q is not known: use Session or Permanent", *in.Cookie.LifetimeType))
	}
}
