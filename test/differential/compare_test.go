//go:build differential

package differential

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// ignored are fields that differ by nature. Everything else is compared.
var ignored = map[string]map[string]string{
	"request": {
		"x-request-id":                   "Envoy makes one for tracing; Leno leaves that to the application",
		"x-forwarded-proto":              "Envoy's connection manager always adds it; it says http on every plain connection",
		"x-envoy-expected-rq-timeout-ms": "Envoy's word to another Envoy",
		"x-envoy-attempt-count":          "Envoy's word to another Envoy",
		"x-envoy-internal":               "Envoy's word to another Envoy",
		"connection":                     "management of one connection",
		"content-length":                 "framing, compared as such",
		"transfer-encoding":              "framing, compared as such",
	},
	"response": {
		"date":                          "Envoy dates what it makes, as does each backend",
		"x-envoy-upstream-service-time": "a measurement",
		"connection":                    "management of one connection; its effect is compared (again)",
		"keep-alive":                    "management of one connection",
		"content-length":                "framing, compared where there is no body (length)",
		"transfer-encoding":             "each chooses; the body is compared",
	},
	// Answers that a proxy makes itself.
	"own": {
		"server":       "each names itself, or not",
		"content-type": "of a text that is each one's own",
		"grpc-message": "a text that is each one's own",
	},
}

// difference is one thing that is not the same.
type difference struct{ what, leno, envoy string }

func (d difference) String() string {
	return fmt.Sprintf("%s: Leno %q, Envoy %q", d.what, d.leno, d.envoy)
}

// facts are what is compared of an outcome, by name.
func (o *outcome) facts(r *request) map[string]string {
	f := map[string]string{"status": strconv.Itoa(o.status)}
	put := func(name, value string) {
		if value != "" {
			f[name] = value
		}
	}
	refused := r.malformed && (o.status >= 400 || o.refused2(r))
	switch {
	case refused && r.http2 != nil && o.status < 500:
		f["status"] = "refused"
	case r.malformed:
		f["status"] = strconv.Itoa(o.status/100) + "xx"
	}
	if !refused {
		put("end", o.end)
		put("again", o.again)
		put("interim", fmt.Sprint(o.interim))
		o.answerFacts(r, put)
	}
	services := make([]string, len(o.seen))
	for i, s := range o.seen {
		services[i] = s.service
	}
	put("backends", strings.Join(services, ", "))
	for i, s := range o.seen {
		s.facts(r, fmt.Sprintf("request %d ", i), func(name, value string) {
			// Envoy adds its own address to the copies that mirrors get; Leno sends the same request.
			if r.to.copies == 0 || !strings.HasSuffix(name, " x-forwarded-for") {
				put(name, value)
			}
		})
	}
	return f
}

// refused2 tells of a stream or a connection that was ended instead of an answer: how far a malformed request reaches is left to the
// server (RFC 9113 sections 5.4 and 8.1.1).
func (o *outcome) refused2(r *request) bool {
	return r.http2 != nil && o.status == 0 && o.end != "" && o.end != "nothing came"
}

func (o *outcome) answerFacts(r *request, put func(name, value string)) {
	if o.answer == nil {
		return
	}
	values := joined(r.to.sessions.hidden(o.answer.fields))
	own := values["x-backend"] == ""
	if own && o.status >= 400 {
		// A failure that a proxy tells of. Envoy has the route's filters change it; Leno leaves that to answers of backends
		// and to redirects.
		return
	}
	for name, value := range values {
		if ignored["response"][name] == "" && (!own || ignored["own"][name] == "") {
			put("response field "+name, "<"+value+">")
		}
	}
	if !own {
		put("body", short(o.answer.body))
		if o.answer.framing == "" {
			put("length", values["content-length"])
		}
	}
	put("trailers", lines(o.answer.trailers))
}

func (s *seen) facts(r *request, prefix string, put func(name, value string)) {
	put(prefix+"line", s.start)
	for name, value := range joined(r.to.sessions.hidden(s.fields)) {
		if ignored["request"][name] == "" {
			put(prefix+"field "+name, "<"+value+">")
		}
	}
	if s.body != "" {
		put(prefix+"framing", s.framing) // whether an empty body is announced says nothing
	}
	put(prefix+"body", short(s.body))
	put(prefix+"trailers", lines(s.trailers))
	if s.cut {
		put(prefix+"cut", "yes")
	}
}

// lines are fields in a comparable order.
func lines(list []string) string {
	values := joined(list)
	var out []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		out = append(out, name+"="+values[name])
	}
	return strings.Join(out, "; ")
}

// short is a body, or how long it is.
func short(body string) string {
	if len(body) > 100 {
		return fmt.Sprintf("%d bytes", len(body))
	}
	return body
}

// compare lists what differs between two outcomes.
func compare(r *request, leno, envoy *outcome) []difference {
	l, e := leno.facts(r), envoy.facts(r)
	all := maps.Clone(l)
	maps.Copy(all, e)
	var out []difference
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if l[name] != e[name] {
			out = append(out, difference{name, l[name], e[name]})
		}
	}
	return out
}
