package persistence_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/layer/persistence"
	"github.com/leno-mesh/leno/proxy/msg"
)

var (
	start = time.Unix(1_700_000_000, 0)
	place = persistence.Place{Cluster: persistence.Cluster("shop/cart:80"), Endpoint: persistence.Endpoint(&config.Endpoint{Workload: config.Workload{Namespace: "shop", Pod: "cart-0"}})}
)

func cookie(edit func(*config.Persistence)) *persistence.Policy {
	c := &config.Persistence{Cookie: "place", Path: "/shop", Key: config.SessionKey{1}}
	if edit != nil {
		edit(c)
	}
	return persistence.Compile(c)
}

// told is what a response says of a session that begins at start.
func told(p *persistence.Policy, name string) string {
	var r msg.Response
	p.Start(&r, place, start)
	value, _ := r.Fields.Get(name)
	return string(value)
}

func request(fields ...string) *msg.Request {
	r := &msg.Request{}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Fields.Add([]byte(name), []byte(value))
	}
	return r
}

// token is the part of a Set-Cookie that clients send back.
func token(set string) string {
	pair, _, _ := strings.Cut(set, ";")
	return pair
}

func TestAttributes(t *testing.T) {
	for want, edit := range map[string]func(*config.Persistence){
		"; Path=/shop; HttpOnly":               nil,
		"; Path=/shop; Max-Age=3600; HttpOnly": func(c *config.Persistence) { c.Permanent, c.Timeout = true, time.Hour },
		"; Path=/; HttpOnly":                   func(c *config.Persistence) { c.Path, c.Timeout = "/", time.Hour },
	} {
		set := told(cookie(edit), "set-cookie")
		if !strings.HasPrefix(set, "place=") || strings.TrimPrefix(set, token(set)) != want {
			t.Errorf("%q, want attributes %q", set, want)
		}
	}
	header := cookie(func(c *config.Persistence) { c.Cookie, c.Header = "", "x-place" })
	if value := told(header, "x-place"); value == "" || strings.ContainsAny(value, ";= ") {
		t.Errorf("header %q", value)
	}
}

// A session is found wherever clients put its cookie, and nothing else is taken for one.
func TestFind(t *testing.T) {
	p := cookie(func(c *config.Persistence) { c.Timeout = time.Hour })
	mine := token(told(p, "set-cookie"))
	other := cookie(func(c *config.Persistence) { c.Key = config.SessionKey{2} })
	renamed := cookie(func(c *config.Persistence) { c.Cookie = "other" })
	for _, tc := range []struct {
		name   string
		fields []string
		after  time.Duration
		found  bool
	}{
		{"the cookie", []string{"Cookie: " + mine}, 0, true},
		{"among others", []string{"Cookie: a=b; " + mine + ";c"}, 0, true},
		{"in a field of its own", []string{"cookie: a=b", "cookie: " + mine}, 0, true},
		{"after one that is nobody's", []string{"Cookie: place=x; " + mine}, 0, true},
		{"shortly before its end", []string{"Cookie: " + mine}, time.Hour - time.Second, true},
		{"at its end", []string{"Cookie: " + mine}, time.Hour, false},
		{"no cookie", nil, 0, false},
		{"another cookie", []string{"Cookie: not" + mine}, 0, false},
		{"a header", []string{"place: " + strings.TrimPrefix(mine, "place=")}, 0, false},
		{"with another key", []string{"Cookie: " + token(told(other, "set-cookie"))}, 0, false},
		{"under another name", []string{"Cookie: place=" + strings.TrimPrefix(token(told(renamed, "set-cookie")), "other=")}, 0, false},
		{"cut", []string{"Cookie: " + mine[:len(mine)-1]}, 0, false},
		{"changed", []string{"Cookie: " + mine[:len(mine)-6] + "AAAAAA"}, 0, false},
		{"with line ends inside", []string{"Cookie: " + mine[:20] + "\n" + mine[20:]}, 0, false},
		{"empty", []string{"Cookie: place="}, 0, false},
	} {
		at, ok := p.Find(request(tc.fields...), start.Add(tc.after))
		if ok != tc.found || ok && at != place {
			t.Errorf("%s: found %t, %v", tc.name, ok, at)
		}
	}
}

// A cookie is shown where RFC 6265 section 5.1.4 says so, and a header everywhere.
func TestCovers(t *testing.T) {
	header := cookie(func(c *config.Persistence) { c.Cookie, c.Header, c.Path = "", "x-place", "" })
	for _, tc := range []struct {
		of      string
		covered []string
		others  []string
	}{
		{"/", []string{"/", "/shop", "*", ""}, nil},
		{"/shop", []string{"/shop", "/shop/", "/shop/a", "/shop//a"}, []string{"/", "/sho", "/shops", "/shop.html", "/Shop", "/a/shop", "*", ""}},
		{"/shop/", []string{"/shop/", "/shop/a"}, []string{"/", "/shop", "/shops/"}},
	} {
		p := cookie(func(c *config.Persistence) { c.Path = tc.of })
		for _, path := range tc.covered {
			if r := (&msg.Request{Path: []byte(path)}); !p.Covers(r) || !header.Covers(r) {
				t.Errorf("path %s does not cover %q", tc.of, path)
			}
		}
		for _, path := range tc.others {
			if r := (&msg.Request{Path: []byte(path)}); p.Covers(r) || !header.Covers(r) {
				t.Errorf("path %s covers %q", tc.of, path)
			}
		}
	}
}

// What a client carries says nothing: not where it is, and not whether two clients are at the same place.
func TestTokensTellNothing(t *testing.T) {
	p := cookie(nil)
	if a, b := told(p, "set-cookie"), told(p, "set-cookie"); a == b {
		t.Errorf("two sessions at one place: %q and %q", a, b)
	}
}

// An address that another pod has got is another place, and a pod that has got another address is not.
func TestEndpoint(t *testing.T) {
	at := func(pod, address string) uint64 {
		e := &config.Endpoint{Address: netip.MustParseAddrPort(address)}
		if pod != "" {
			e.Workload = config.Workload{Namespace: "shop", Pod: pod}
		}
		return persistence.Endpoint(e)
	}
	if at("cart-0", "10.0.0.1:80") != at("cart-0", "10.0.0.2:80") || at("cart-0", "10.0.0.1:80") == at("cart-1", "10.0.0.1:80") {
		t.Error("pods are not told apart by name")
	}
	if at("", "10.0.0.1:80") == at("", "10.0.0.1:81") {
		t.Error("addresses of no pod are not told apart")
	}
}

func FuzzFind(f *testing.F) {
	p := cookie(nil)
	header := cookie(func(c *config.Persistence) { c.Cookie, c.Header = "", "place" })
	f.Add("Cookie", "a=b; place=x;;=;")
	f.Add("cookie", token(told(p, "set-cookie"))+"x")
	f.Add("Place", told(header, "place"))
	f.Fuzz(func(t *testing.T, name, value string) {
		r := request(name + ": " + value)
		for _, policy := range []*persistence.Policy{p, header} {
			if at, ok := policy.Find(r, start); ok && at != place {
				t.Errorf("%s: %q is taken for a session at %v", name, value, at)
			}
		}
	})
}
