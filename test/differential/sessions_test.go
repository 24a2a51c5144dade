//go:build differential

package differential

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/leno-mesh/leno/internal/mesh"
)

// sessions are the names of the cookies, and of the headers in lower case, in which a destination's clients carry their sessions. What a
// session says of its endpoint is each plane's own; that it is told, how, and what comes of it is compared.
type sessions map[string]bool

// kept are the ways in which a rule keeps sessions: its own, or those of its backends.
func (u *union) kept(r *mesh.Rule) []*mesh.Persistence {
	if r.Persistence != nil {
		return []*mesh.Persistence{r.Persistence}
	}
	var out []*mesh.Persistence
	for _, b := range r.Backends {
		if port := u.port(b.Service); port != nil && port.Persistence != nil && b.Fail == nil {
			out = append(out, port.Persistence)
		}
	}
	return out
}

// keeps tells that each request of a rule belongs to a session: not those that weights send to a backend without.
func (u *union) keeps(r *mesh.Rule) bool {
	return r.Persistence != nil || len(r.Backends) == 1 && len(u.kept(r)) > 0
}

// port finds that of a Service; nil when there is none.
func (u *union) port(sp mesh.ServicePort) *mesh.Port {
	s := u.mesh.Services[sp.Name]
	if s == nil || sp.XBackend {
		return nil
	}
	i := slices.IndexFunc(s.Ports, func(p mesh.Port) bool { return p.Number == sp.Port })
	if i < 0 {
		return nil
	}
	return &s.Ports[i]
}

// nameSessions tells each destination which names its sessions have.
func (u *union) nameSessions() {
	for _, d := range u.destinations {
		d.sessions = sessions{}
		var all []*mesh.Persistence
		if d.table == nil {
			all = append(all, u.port(d.port).Persistence)
		} else {
			for _, e := range d.table.Entries {
				all = append(all, u.kept(e.Rule)...)
			}
		}
		for _, p := range all {
			switch {
			case p == nil:
			case p.Header:
				d.sessions[strings.ToLower(p.Name)] = true
			default:
				d.sessions[p.Name] = true
			}
		}
	}
}

// hidden are field lines without what sessions say. Attributes of cookies have no order (RFC 6265 section 5.2), and values may stand in
// quotes (section 4.1.1).
func (s sessions) hidden(lines []string) []string {
	if len(s) == 0 {
		return lines
	}
	out := slices.Clone(lines)
	for i, line := range out {
		name, value := cutField(line)
		switch lower := strings.ToLower(name); {
		case s[lower]:
			out[i] = name + ": (session)"
		case lower == "set-cookie":
			parts := strings.Split(value, ";")
			slices.SortFunc(parts[1:], func(a, b string) int { return strings.Compare(strings.TrimSpace(a), strings.TrimSpace(b)) })
			out[i] = name + ": " + s.hiddenCookies(parts)
		case lower == "cookie":
			out[i] = name + ": " + s.hiddenCookies(strings.Split(value, ";"))
		}
	}
	return out
}

func (s sessions) hiddenCookies(pairs []string) string {
	for i, pair := range pairs {
		pairs[i] = strings.TrimSpace(pair)
		if name, _, _ := strings.Cut(pairs[i], "="); s[name] {
			pairs[i] = name + "=(session)"
		}
	}
	return strings.Join(pairs, "; ")
}

// told is the field line by which a client goes on with the session that an answer began; "" where it began none.
func (s sessions) told(m *message) string {
	if m == nil {
		return ""
	}
	for _, line := range m.fields {
		name, value := cutField(line)
		value = strings.TrimSpace(value)
		if s[strings.ToLower(name)] {
			return name + ": " + value
		}
		pair, _, _ := strings.Cut(value, ";")
		if cookie, _, _ := strings.Cut(pair, "="); strings.EqualFold(name, "set-cookie") && s[cookie] {
			return "Cookie: " + pair
		}
	}
	return ""
}

// going is the request as a client sends it that has a session.
func (r *request) going(session string) *request {
	next := *r
	next.raw = strings.Replace(r.raw, "\r\n\r\n", "\r\n"+session+"\r\n\r\n", 1)
	if r.http2 != nil {
		next.http2 = nil
		next.http2 = inHTTP2(&next).http2
	}
	return &next
}

// stays is how many requests of a session are looked at: of two endpoints, all of them would get to one by luck once in a million times.
const stays = 20

// compareSessions begins a session over each plane, and compares what becomes of it, and of sessions that are none.
func (p *planes) compareSessions(r *request) []difference {
	leno := p.session(p.leno[r.to.address], r)
	envoy := p.session(p.envoy[r.to.address], r)
	l, e := leno.facts, envoy.facts
	l["of the other plane"] = p.anew(p.leno[r.to.address], r, envoy.told)
	e["of the other plane"] = p.anew(p.envoy[r.to.address], r, leno.told)
	var out []difference
	for _, name := range slices.Sorted(maps.Keys(l)) {
		if l[name] != e[name] {
			out = append(out, difference{"session " + name, l[name], e[name]})
		}
	}
	if leno.last == nil || envoy.last == nil || chosen(leno.last) != chosen(envoy.last) {
		return out
	}
	return append(out, compare(r, leno.last, envoy.last)...)
}

// session is what became of one.
type session struct {
	told  string
	facts map[string]string
	last  *outcome // of its requests; nil: there were none
}

func (p *planes) session(address string, r *request) session {
	first := p.send(address, r, 1, straggler)
	s := session{told: r.to.sessions.told(first.answer), facts: map[string]string{}}
	if s.told == "" {
		s.facts["begins"] = "no"
		return s
	}
	s.facts["begins"] = "yes"
	elsewhere, again := 0, 0
	for range stays {
		o := p.send(address, r.going(s.told), 1, straggler)
		if endpoints(&o) != endpoints(&first) {
			elsewhere++
		}
		if r.to.sessions.told(o.answer) != "" {
			again++
		}
		s.last = &o
	}
	s.facts["stays"] = fmt.Sprint(elsewhere == 0)
	s.facts["is told once"] = fmt.Sprint(again == 0)
	name, _, _ := strings.Cut(s.told, "=")
	if header, _, is := strings.Cut(s.told, ": "); is && !strings.HasPrefix(s.told, "Cookie: ") {
		name = header + ": "
	} else {
		name += "="
	}
	s.facts["that is none"] = p.anew(address, r, name+"bm9uZQ")
	s.facts["that is empty"] = p.anew(address, r, name)
	return s
}

// anew tells whether a request of a session that the plane does not know begins another one.
func (p *planes) anew(address string, r *request, told string) string {
	if told == "" {
		return ""
	}
	o := p.send(address, r.going(told), 1, straggler)
	return fmt.Sprintf("%d, begins anew: %t", o.status, r.to.sessions.told(o.answer) != "")
}

func endpoints(o *outcome) string {
	var out []string
	for _, s := range o.seen {
		out = append(out, s.endpoint)
	}
	return strings.Join(out, " ")
}
