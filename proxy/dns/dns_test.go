package dns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// zone answers with what it was told last.
type zone struct {
	mu    sync.Mutex // guards all below
	now   []string
	err   error
	asked int
}

func (z *zone) set(err error, addresses ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.err, z.now = err, addresses
}

func (z *zone) lookup(context.Context, string) ([]netip.Addr, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked++
	var out []netip.Addr
	for _, a := range z.now {
		out = append(out, netip.MustParseAddr(a))
	}
	return out, z.err
}

const host = "api.example.com"

func TestResolver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{}
		var changes int
		r := New(z.lookup, func() { changes++ }, slog.New(slog.DiscardHandler))
		defer r.Close()
		use := func() { r.Use(map[string]time.Duration{host: 30 * time.Second}) }
		expect := func(when string, change int, want ...string) {
			t.Helper()
			synctest.Wait()
			if got := fmt.Sprint(r.Addresses(host)); got != fmt.Sprint(want) || changes != change {
				t.Errorf("%s: %s after %d changes, want %v after %d", when, got, changes, want, change)
			}
		}
		z.set(nil, "192.0.2.2", "::ffff:192.0.2.1", "2001:db8::1", "192.0.2.2")
		use()
		if pending := r.Pending(host); pending == nil {
			t.Error("the first answer is not awaited")
		} else {
			<-pending
		}
		expect("at first", 1, "192.0.2.1", "192.0.2.2")
		if r.Pending(host) != nil {
			t.Error("the first answer is awaited for ever")
		}
		use()
		z.set(nil, "192.0.2.2", "192.0.2.1")
		time.Sleep(time.Minute)
		expect("in another order", 1, "192.0.2.1", "192.0.2.2")
		z.set(errors.New("timeout"))
		time.Sleep(time.Minute)
		expect("without an answer", 1, "192.0.2.1", "192.0.2.2")
		z.set(nil, "2001:db8::2", "2001:db8::1")
		time.Sleep(time.Minute)
		expect("with IPv6 only", 2, "2001:db8::1", "2001:db8::2")
		z.set(&net.DNSError{IsNotFound: true})
		time.Sleep(time.Minute)
		expect("without such a name", 3)
		r.Use(nil)
		synctest.Wait()
		before := z.asked
		time.Sleep(time.Hour)
		if z.asked != before {
			t.Error("a name that nobody uses is asked for")
		}
	})
}

// A resolver in trouble is asked less and less often, and the first request does not wait for ever.
func TestResolverInTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{err: errors.New("refused")}
		r := New(z.lookup, func() { t.Error("there is nothing to tell") }, slog.New(slog.DiscardHandler))
		defer r.Close()
		r.Use(map[string]time.Duration{host: 30 * time.Second})
		<-r.Pending(host)
		time.Sleep(62 * time.Second)
		synctest.Wait()
		// At 0, 1, 3, 7, 15, 31 and 61 s.
		if z.asked != 7 {
			t.Errorf("asked %d times", z.asked)
		}
	})
}

func TestUsable(t *testing.T) {
	var many []netip.Addr
	for i := range 1000 {
		many = append(many, netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}))
	}
	slices.Reverse(many)
	if got := usable(many); len(got) != maxAddresses || got[0] != many[999] {
		t.Errorf("%d addresses, the first is %v", len(got), got[0])
	}
	if got := usable(nil); len(got) != 0 {
		t.Errorf("%v", got)
	}
}
