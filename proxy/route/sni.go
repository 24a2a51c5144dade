package route

import (
	"strings"
)

// ServerNames finds a rule by the server name that a TLS client asks for. It is immutable.
type ServerNames struct {
	exact    map[string]int
	wildcard map[string]int // "*.example.com" under ".example.com"
	any      int            // the rule without names, or None
}

// CompileServerNames prepares the names of rules: "www.example.com", or "*.example.com" for all names with one or more
// labels before ".example.com", in lower case. A rule without names takes what the others leave. Where rules share a
// name, the first has it. "*" among the names is the same as none.
func CompileServerNames(rules [][]string) *ServerNames {
	s := &ServerNames{exact: map[string]int{}, wildcard: map[string]int{}, any: None}
	note := func(m map[string]int, name string, rule int) {
		if _, taken := m[name]; !taken {
			m[name] = rule
		}
	}
	for i, names := range rules {
		if len(names) == 0 && s.any == None {
			s.any = i
		}
		for _, name := range names {
			if name == "*" {
				if s.any == None {
					s.any = i
				}
				continue
			}
			if suffix, ok := strings.CutPrefix(name, "*"); ok {
				note(s.wildcard, suffix, i)
			} else {
				note(s.exact, name, i)
			}
		}
	}
	return s
}

// Match returns the index of a rule, or None. An exact name comes before wildcards, a longer wildcard before a shorter
// one. An empty name, of a client that asks for no server, is only for the rule without names. With Encrypted Client
// Hello (RFC 9849) the name is the outer one, that of the server that can decrypt the other: nobody else sees that one.
func (s *ServerNames) Match(name string) int {
	return s.match([]byte(strings.Map(lower, name)))
}

// match is Match for a name in lower case. It does not allocate.
func (s *ServerNames) match(name []byte) int {
	if i, ok := s.exact[string(name)]; ok && len(name) > 0 {
		return i
	}
	// The wildcard stands for at least one character, so the dot at the beginning of a name is none of its suffixes.
	for at := 1; at < len(name); at++ {
		if name[at] != '.' {
			continue
		}
		if i, ok := s.wildcard[string(name[at:])]; ok && len(name[at:]) > 1 {
			return i
		}
	}
	return s.any
}

// lower is for ASCII only (RFC 6066, section 3): other letters must not become letters of a name.
func lower(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		return r + ('a' - 'A')
	}
	return r
}
