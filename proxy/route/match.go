package route

import (
	"bytes"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/msg"
)

// path compares the path alone.
func (m *matcher) path(r *msg.Request) bool {
	switch m.kind {
	case config.PathExact:
		return string(r.Path) == m.value
	case config.PathPrefix:
		n := len(m.value)
		return len(r.Path) >= n && string(r.Path[:n]) == m.value && (len(r.Path) == n || r.Path[n] == '/')
	case config.PathRegex:
		return m.regex.Match(r.Path)
	default:
		return true
	}
}

// rest compares everything but the path.
func (m *matcher) rest(r *msg.Request) bool {
	if !m.methodIs(r) {
		return false
	}
	for i := range m.headers {
		if !m.headers[i].header(r) {
			return false
		}
	}
	for i := range m.query {
		if !m.query[i].query(r) {
			return false
		}
	}
	return true
}

func (m *matcher) methodIs(r *msg.Request) bool {
	return m.method == "" || string(r.Method) == m.method
}

// header compares a field. Several lines of one name are one value, joined by commas (RFC 9110 section 5.3). Fields that
// frame a message or belong to one connection are not among the fields and match nothing, except Host and Upgrade.
func (v *value) header(r *msg.Request) bool {
	switch v.name {
	case "host":
		return v.is(r.Authority)
	case "upgrade":
		return r.Upgrade != nil && v.is(r.Upgrade)
	}
	first, count := -1, 0
	for i := range r.Fields {
		if msg.EqualName(r.Fields[i].Name, v.name) {
			if count++; count == 1 {
				first = i
			}
		}
	}
	switch {
	case count == 0:
		return false
	case count == 1:
		return v.is(r.Fields[first].Value)
	case v.regex == nil:
		return v.equalJoined(r.Fields[first:])
	}
	var joined []byte
	for _, f := range r.Fields[first:] {
		if msg.EqualName(f.Name, v.name) {
			if joined != nil {
				joined = append(joined, ',')
			}
			joined = append(joined, f.Value...)
		}
	}
	return v.regex.Match(joined)
}

func (v *value) is(b []byte) bool {
	if v.regex != nil {
		return v.regex.Match(b)
	}
	return string(b) == v.want
}

func (v *value) equalJoined(fields msg.Fields) bool {
	want, first := v.want, true
	for _, f := range fields {
		if !msg.EqualName(f.Name, v.name) {
			continue
		}
		if !first {
			if want == "" || want[0] != ',' {
				return false
			}
			want = want[1:]
		}
		first = false
		if len(want) < len(f.Value) || want[:len(f.Value)] != string(f.Value) {
			return false
		}
		want = want[len(f.Value):]
	}
	return want == ""
}

// query compares the first parameter of that name, decoded; case counts (Gateway API, HTTPQueryParamMatch).
func (v *value) query(r *msg.Request) bool {
	rest := r.Query
	for len(rest) > 0 {
		var pair []byte
		if i := bytes.IndexByte(rest, '&'); i >= 0 {
			pair, rest = rest[:i], rest[i+1:]
		} else {
			pair, rest = rest, nil
		}
		key, val, _ := bytes.Cut(pair, []byte("="))
		if !equalDecoded(key, v.name) || len(pair) == 0 {
			continue
		}
		if v.regex == nil {
			return equalDecoded(val, v.want)
		}
		if bytes.IndexByte(val, '%') >= 0 || bytes.IndexByte(val, '+') >= 0 {
			val = decode(nil, val)
		}
		return v.regex.Match(val)
	}
	return false
}

// equalDecoded compares a query component with its decoded form.
func equalDecoded(raw []byte, want string) bool {
	i, j := 0, 0
	for i < len(raw) {
		c, n := next(raw[i:])
		if j == len(want) || want[j] != c {
			return false
		}
		i, j = i+n, j+1
	}
	return j == len(want)
}

func decode(dst, raw []byte) []byte {
	for len(raw) > 0 {
		c, n := next(raw)
		dst, raw = append(dst, c), raw[n:]
	}
	return dst
}

// next decodes one octet of a query component; a broken escape stands for itself.
func next(raw []byte) (c byte, used int) {
	switch c = raw[0]; c {
	case '+':
		return ' ', 1
	case '%':
		if len(raw) >= 3 {
			hi, okHi := unhex(raw[1])
			lo, okLo := unhex(raw[2])
			if okHi && okLo {
				return hi<<4 | lo, 3
			}
		}
	}
	return c, 1
}

func unhex(c byte) (byte, bool) {
	switch {
	case c-'0' < 10:
		return c - '0', true
	case (c|0x20)-'a' < 6:
		return (c | 0x20) - 'a' + 10, true
	}
	return 0, false
}
