package drain

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestWait(t *testing.T) {
	for _, tc := range []struct {
		name      string
		busyUntil time.Duration
		toldAt    time.Duration
		want      Reason
		after     time.Duration
	}{
		{"nothing to do", 0, time.Hour, Done, time.Second},
		{"application works on", 8 * time.Second, time.Hour, Done, 9 * time.Second},
		{"application does not end", time.Hour, time.Hour, TooLong, 30 * time.Second},
		{"second signal", time.Hour, 3 * time.Second, Told, 3 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), tc.toldAt)
			defer cancel()
			start := time.Now()
			got := Wait(ctx, Policy{Max: 30 * time.Second, Quiet: time.Second, Busy: func() bool { return time.Since(start) < tc.busyUntil }})
			if took := time.Since(start); got != tc.want || took < tc.after-look || took > tc.after+2*look {
				t.Errorf("%s: %q after %v, want %q after %v", tc.name, got, took, tc.want, tc.after)
			}
		})
	}
}

func TestOthersIn(t *testing.T) {
	const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	line := func(state, uid string) string {
		return "   0: 0100007F:3A98 00000000:0000 " + state + " 00000000:00000000 00:00000000 00000000 " + uid + "        0 1 1 0\n"
	}
	for name, tc := range map[string]struct {
		table string
		want  bool
	}{
		"empty":                        {head, false},
		"only the proxy":               {head + line("0A", "15015") + line("01", "15015"), false},
		"application listens":          {head + line("0A", "15015") + line("0A", "0"), true},
		"application is connected":     {head + line("01", "1000"), true},
		"application's remains in TCP": {head + line("06", "0") + line("05", "1000"), false},
	} {
		if got := othersIn(strings.NewReader(tc.table), 15015); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
