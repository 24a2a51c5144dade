package fail

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/leno-mesh/leno/proxy/telemetry"
)

func TestTableIsComplete(t *testing.T) {
	flags := map[string]Kind{}
	for k := None + 1; k < kinds; k++ {
		e := Of(k)
		if e.Flag == "" || e.Text == "" {
			t.Errorf("kind %d has no words", k)
		}
		if other, dup := flags[e.Flag]; dup {
			t.Errorf("kinds %d and %d have the flag %s", k, other, e.Flag)
		}
		flags[e.Flag] = k
		if e.Status != 0 && Reason(e.Status) == "" {
			t.Errorf("status %d has no reason phrase", e.Status)
		}
		if e.Status == 0 && k != ClientGone && k != NoHello && k != NoServerName && k != NoCertificate { // these are of connections
			t.Errorf("%s has no status", e.Flag)
		}
	}
}

func TestKindOf(t *testing.T) {
	typed := &Error{Kind: NoRoute, Detail: "d", Err: io.EOF}
	for err, want := range map[error]Kind{
		nil: None, typed: NoRoute, fmt.Errorf("while: %w", typed): NoRoute, errors.New("network"): UpstreamReset,
	} {
		if got := KindOf(err); got != want {
			t.Errorf("%v: got %d, want %d", err, got, want)
		}
	}
	if !errors.Is(typed, io.EOF) || typed.Error() != "no route matches: d: EOF" {
		t.Errorf("got %q", typed.Error())
	}
}

func TestText(t *testing.T) {
	got := string(AppendText(nil, HeadTooLarge, telemetry.Inbound, "more than 200 header fields"))
	if want := "leno inbound: request header too large: more than 200 header fields\n"; got != want {
		t.Errorf("got %q", got)
	}
}

func TestReason(t *testing.T) {
	for status, want := range map[int]string{103: "Early Hints", 415: "Unsupported Media Type", 299: ""} {
		if got := Reason(status); got != want {
			t.Errorf("%d: %q", status, got)
		}
	}
}
