package config

import (
	"math"
	"regexp"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// decodeForward reads an envoy.config.route.v3.RouteAction.
func decodeForward(m *message, match Match, a *Action, extras *object) {
	a.Timeout = m.duration(8, "timeout")
	decodeRetry(m.sub(9, "retry_policy"), a)
	host := m.text(6, "host_rewrite_literal")
	path := decodePathChange(m, 5, 32, match)
	if host != "" || path != nil {
		a.Rewrite = &Rewrite{Hostname: host, Path: path}
	}
	for _, p := range m.subs(30, "request_mirror_policies") {
		a.Mirrors = append(a.Mirrors, decodeMirror(p))
	}
	m.ignore(20) // cluster_not_found_response_code: backends that fail say so in metadata
	decodeCallDeadline(m.sub(36, "max_stream_duration"))
	switch {
	case m.has(1):
		a.Backends = []Backend{{Cluster: m.text(1, "cluster"), Weight: 1}}
	case m.has(3):
		clusters := m.sub(3, "weighted_clusters")
		for i, w := range clusters.subs(1, "clusters") {
			a.Backends = append(a.Backends, decodeBackend(w, extras.object(strconv.Itoa(i))))
		}
		clusters.done()
	default:
		m.fail("has no cluster specifier that this proxy supports")
	}
	extras.done()
	m.done()
}

// decodeCallDeadline reads a MaxStreamDuration: a gRPC call has the time that its own grpc-timeout gives it, and nothing else has a limit.
func decodeCallDeadline(m *message) {
	if limit := m.duration(2, "grpc_timeout_header_max"); limit != 0 {
		m.fail("field grpc_timeout_header_max is %v: this proxy gives calls the time that they ask for", limit)
	}
	m.done()
}

// retryOn are the failures after which this proxy sends a request again in any case, to another endpoint; retryToo is what
// routes can add.
const (
	retryOn  = "connect-failure,refused-stream"
	retryToo = retryOn + ",reset,retriable-status-codes,unavailable"
)

// decodeRetry reads a RetryPolicy.
func decodeRetry(m *message, a *Action) {
	attempts, statuses := m.wrapped(2, "num_retries"), m.numbers(7, "retriable_status_codes")
	backoff := m.sub(8, "retry_back_off")
	switch on := m.text(1, "retry_on"); on {
	case "", retryOn:
	case retryToo:
		a.Retry = &Retry{Attempts: uint32(min(attempts, math.MaxUint32)), Backoff: backoff.duration(1, "base_interval")}
		for _, status := range statuses {
			if status < 400 || status > 599 {
				m.fail("field retriable_status_codes has %d: an error has a status of 400 to 599", status)
				break
			}
			a.Retry.Statuses = append(a.Retry.Statuses, int(status))
		}
	default:
		m.fail("field retry_on is %q: this proxy supports %q and %q", on, retryOn, retryToo)
	}
	backoff.ignore(2) // max_interval: ten times the base, as everywhere
	backoff.done()
	m.ignore(
		5, // retry_host_predicate
		6, // host_selection_retry_max_attempts
	)
	a.BackendTimeout = m.duration(3, "per_try_timeout")
	m.done()
}

// decodeBackend reads a WeightedCluster.ClusterWeight and what metadata says beyond it.
func decodeBackend(m *message, extra *object) Backend {
	b := Backend{
		Cluster:         m.text(1, "name"),
		Weight:          uint32(m.wrapped(2, "weight")),
		RequestHeaders:  decodeHeaders(m, 4, 9),
		ResponseHeaders: decodeHeaders(m, 5, 6),
		Fail:            decodeFailure(extra.object("fail")),
	}
	decodePerFilter(m, 10, nil)
	if b.Fail != nil {
		b.Cluster = ""
	} else if b.Cluster == failCluster || b.Cluster == "" {
		m.fail("field name is %q without a failure in the metadata", b.Cluster)
	}
	host, path := m.text(11, "host_rewrite_literal"), pathChange(extra.object("rewrite"))
	if host != "" || path != nil {
		b.Rewrite = &Rewrite{Hostname: host, Path: path}
	}
	if r := extra.object("redirect"); r != nil {
		b.Redirect = &Redirect{
			Scheme: r.text("scheme"), Hostname: r.text("hostname"),
			Port: uint16(r.count("port", math.MaxUint16)), Status: int(r.count("status", 399)),
			Path: pathChange(r.object("path")),
		}
		r.done()
	}
	for _, o := range extra.objects("mirrors") {
		b.Mirrors = append(b.Mirrors, Mirror{
			Cluster: o.text("cluster"), Numerator: o.count("numerator", 1e6), Denominator: o.count("denominator", 1e6),
		})
		o.done()
	}
	extra.done()
	m.done()
	return b
}

// pathChange reads {full} or {prefix}; nil when neither is there.
func pathChange(o *object) *PathChange {
	c := &PathChange{Full: o.textPointer("full"), Prefix: o.textPointer("prefix")}
	o.done()
	if c.Full == nil && c.Prefix == nil {
		return nil
	}
	if c.Full != nil && c.Prefix != nil {
		o.fail("has full and prefix: one is possible")
	}
	return c
}

// decodePathChange reads a prefix rewrite, or a regular expression of the two kinds that say in Envoy's words what a
// PathChange says; nil when neither is there.
func decodePathChange(m *message, prefix, regex protowire.Number, match Match) *PathChange {
	if p := m.text(prefix, "prefix_rewrite"); p != "" {
		if match.PathKind == PathAny && p != "/" {
			p = strings.TrimSuffix(p, "/") // the matched "/" took its place
		}
		return &PathChange{Prefix: &p}
	}
	r := m.sub(regex, "regex_rewrite")
	if r == nil {
		return nil
	}
	pattern := decodeRegex(r, 1, "pattern")
	substitution := r.text(2, "substitution")
	r.done()
	switch pattern {
	case "^/.*":
		full := strings.ReplaceAll(substitution, `\\`, `\`)
		return &PathChange{Full: &full}
	case "^" + regexp.QuoteMeta(match.Path) + "/*":
		if match.PathKind == PathPrefix && substitution == "/" {
			return &PathChange{Prefix: &substitution}
		}
	}
	m.fail("field regex_rewrite is not one that this proxy supports: the whole path, or the matched prefix by /")
	return nil
}

// The status of RedirectAction.RedirectResponseCode, by its number.
var redirectStatus = []int{301, 302, 303, 307, 308}

func decodeRedirect(m *message, match Match) *Redirect {
	r := &Redirect{Hostname: m.text(1, "host_redirect"), Scheme: m.text(7, "scheme_redirect")}
	if code := m.number(3, "response_code"); code < uint64(len(redirectStatus)) {
		r.Status = redirectStatus[code]
	} else {
		m.fail("field response_code %d is not supported by this proxy", code)
	}
	port := m.number(8, "port_redirect")
	if port > math.MaxUint16 {
		m.fail("field port_redirect %d is not a port", port)
	}
	r.Port = uint16(port)
	if m.has(2) {
		full := m.text(2, "path_redirect")
		r.Path = &PathChange{Full: &full}
	} else {
		r.Path = decodePathChange(m, 5, 9, match)
	}
	m.done()
	return r
}

// The denominators of FractionalPercent.DenominatorType, by its number.
var denominators = []uint32{100, 10_000, 1_000_000}

func decodeMirror(m *message) Mirror {
	to := Mirror{Cluster: m.text(1, "cluster"), Numerator: 1, Denominator: 1}
	if runtime := m.sub(3, "runtime_fraction"); runtime != nil {
		percent := runtime.sub(1, "default_value")
		to.Numerator = uint32(min(percent.number(1, "numerator"), math.MaxUint32))
		if d := percent.number(2, "denominator"); d < uint64(len(denominators)) {
			to.Denominator = denominators[d]
		} else {
			percent.fail("field denominator %d is not supported by this proxy", d)
		}
		percent.done()
		runtime.done()
	}
	if !m.flag(6, "disable_shadow_host_suffix_append") {
		m.fail("field disable_shadow_host_suffix_append is not set: this proxy keeps the host of mirrored requests")
	}
	if to.Cluster == "" {
		m.fail("field cluster is empty")
	}
	m.done()
	return to
}
