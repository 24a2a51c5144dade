package headers

import (
	"fmt"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/msg"
)

func TestChange(t *testing.T) {
	h := func(s string) (out []config.Header) {
		for _, pair := range strings.Fields(s) {
			name, value, _ := strings.Cut(pair, "=")
			out = append(out, config.Header{Name: name, Value: value})
		}
		return out
	}
	for _, tc := range []struct{ remove, set, add, have, want string }{
		{"", "", "", "A=1", "A=1"},
		{"", "a=2", "", "A=1 B=1", "A=2 B=1"},
		{"", "a=2", "", "B=1", "B=1 a=2"},
		{"", "a=2", "", "A=1 B=1 a=3", "A=2 B=1"},
		{"", "", "a=2", "A=1", "A=1 a=2"},
		{"", "", "a=2", "", "a=2"},
		{"a", "", "", "A=1 B=1 a=2", "B=1"},
		{"a", "a=2", "a=3", "A=1 a=0", "a=2 a=3"},
		{"", "a=2", "a=3", "A=1 a=0", "A=2 a=3"},
		{"", "content-length=5", "transfer-encoding=chunked", "A=1", "A=1"}, // framing is the codec's
	} {
		c := Compile(&config.HeaderChange{Remove: strings.Fields(tc.remove), Set: h(tc.set), Add: h(tc.add)})
		var r msg.Response
		for _, f := range h(tc.have) {
			r.Fields.Add([]byte(f.Name), []byte(f.Value))
		}
		c.Response(&r)
		var got []string
		for _, f := range r.Fields {
			got = append(got, fmt.Sprintf("%s=%s", f.Name, f.Value))
		}
		if s := strings.Join(got, " "); s != tc.want {
			t.Errorf("remove %q, set %q, add %q on %q: got %q, want %q", tc.remove, tc.set, tc.add, tc.have, s, tc.want)
		}
	}
}

func TestHostIsTheAuthority(t *testing.T) {
	r := msg.Request{Authority: []byte("old")}
	Compile(&config.HeaderChange{Set: []config.Header{{Name: "host", Value: "new"}}, Remove: []string{"host"}}).Request(&r)
	if string(r.Authority) != "new" || len(r.Fields) != 0 {
		t.Errorf("got %q and %v", r.Authority, r.Fields)
	}
}

func TestUsualChangeDoesNotAllocate(t *testing.T) {
	c := Compile(&config.HeaderChange{Set: []config.Header{{Name: "a", Value: "1"}}, Add: []config.Header{{Name: "b", Value: "1"}}, Remove: []string{"c"}})
	var r msg.Request
	name := []byte("C")
	if n := testing.AllocsPerRun(100, func() {
		r.Reset()
		r.Fields.Add(name, name)
		c.Request(&r)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
