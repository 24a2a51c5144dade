package grpc_test

import (
	"fmt"
	"math"
	"net/url"
	"strconv"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc/codes"

	"github.com/leno-mesh/leno/proxy/grpc"
)

func TestIsCall(t *testing.T) {
	for contentType, want := range map[string]bool{
		"application/grpc": true, "application/grpc+proto": true, "application/grpc;charset=utf-8": true,
		"application/grpc-web": false, "application/grpc-web+proto": false, "application/json": false, "": false, "application/grp": false,
		"application/grpcx": false,
	} {
		if got := grpc.IsCall([]byte(contentType)); got != want {
			t.Errorf("%q: %v", contentType, got)
		}
	}
}

func TestTimeout(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"1H": time.Hour, "2M": 2 * time.Minute, "3S": 3 * time.Second, "4m": 4 * time.Millisecond, "5u": 5 * time.Microsecond, "6n": 6,
		"0n": 0, "00000001S": time.Second, "99999999S": 99999999 * time.Second, "99999999H": math.MaxInt64,
	} {
		if got, ok := grpc.Timeout([]byte(value)); !ok || got != want {
			t.Errorf("%s: %v, %v; want %v", value, got, ok, want)
		}
	}
	for _, value := range []string{"", "S", "1", "1s", "-1S", "+1S", "1.5S", " 1S", "1 S", "1S ", "100000000S", "1x", "1H1M", "0x1S"} {
		if got, ok := grpc.Timeout([]byte(value)); ok {
			t.Errorf("%q is taken for %v", value, got)
		}
	}
}

// TestStatusNames: the codes are those of gRPC itself.
func TestStatusNames(t *testing.T) {
	for status, code := range map[grpc.Status]codes.Code{
		grpc.OK: codes.OK, grpc.Cancelled: codes.Canceled, grpc.Unknown: codes.Unknown, grpc.DeadlineExceeded: codes.DeadlineExceeded,
		grpc.PermissionDenied: codes.PermissionDenied, grpc.ResourceExhausted: codes.ResourceExhausted, grpc.Unimplemented: codes.Unimplemented,
		grpc.Internal: codes.Internal, grpc.Unavailable: codes.Unavailable, grpc.Unauthenticated: codes.Unauthenticated,
	} {
		if uint32(status) != uint32(code) || status.String() != strconv.Itoa(int(code)) {
			t.Errorf("%v is %d, %s", code, status, status)
		}
	}
	for n := range 17 {
		text := fmt.Sprint(n)
		if got, ok := grpc.ParseStatus([]byte(text)); !ok || got.String() != text {
			t.Errorf("%s: %v, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "17", "-1", "1 ", "x", "99999999999999999999"} {
		if got, ok := grpc.ParseStatus([]byte(text)); ok {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

// TestFromHTTP is the table in gRPC's "HTTP to gRPC status code mapping".
func TestFromHTTP(t *testing.T) {
	for status, want := range map[int]grpc.Status{
		400: grpc.Internal, 401: grpc.Unauthenticated, 403: grpc.PermissionDenied, 404: grpc.Unimplemented,
		429: grpc.Unavailable, 502: grpc.Unavailable, 503: grpc.Unavailable, 504: grpc.Unavailable,
		200: grpc.Unknown, 302: grpc.Unknown, 500: grpc.Unknown, 0: grpc.Unknown,
	} {
		if got := grpc.FromHTTP(status); got != want {
			t.Errorf("%d: %v, want %v", status, got, want)
		}
	}
}

// TestFromReset is the table in gRPC over HTTP/2, "Errors".
func TestFromReset(t *testing.T) {
	want := []grpc.Status{
		grpc.Internal, grpc.Internal, grpc.Unavailable, grpc.Internal, grpc.Internal, grpc.Internal, grpc.Internal, grpc.Unavailable,
		grpc.Cancelled, grpc.Internal, grpc.Internal, grpc.ResourceExhausted, grpc.PermissionDenied, grpc.Internal,
	}
	for code, status := range want {
		if got := grpc.FromReset(uint32(code)); got != status {
			t.Errorf("%#x: %v, want %v", code, got, status)
		}
	}
}

func TestMessage(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "plain text": "plain text", "50%": "50%25", "a\tb\r\n": "a%09b%0D%0A", "ä☺": "%C3%A4%E2%98%BA", "~\x7f": "~%7F", "\xff": "invalid message",
	} {
		if got := string(grpc.AppendMessage(nil, []byte(text))); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// FuzzGRPC: whatever comes, a timeout is what Go makes of the same number, and a message can be read again.
func FuzzGRPC(f *testing.F) {
	for _, seed := range []string{"1H", "99999999H", "12345678u", "16", "not found: ☺ 100%\n", "application/grpc+proto", "\xff"} {
		f.Add([]byte(seed))
	}
	units := map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': 1}
	f.Fuzz(func(t *testing.T, value []byte) {
		if d, ok := grpc.Timeout(value); ok {
			n, err := strconv.ParseUint(string(value[:len(value)-1]), 10, 32)
			want := float64(n) * float64(units[value[len(value)-1]])
			if err != nil || len(value) > 9 || d < 0 || math.Abs(float64(d)-min(want, math.MaxInt64)) > 1 {
				t.Errorf("timeout %q: %v, want %v ns, %v", value, d, want, err)
			}
		}
		if s, ok := grpc.ParseStatus(value); ok {
			if n, err := strconv.Atoi(string(value)); err != nil || n != int(s) {
				t.Errorf("status %q: %v, %v", value, s, err)
			}
		}
		message := grpc.AppendMessage(nil, value)
		for _, c := range message {
			if c < ' ' || c > '~' {
				t.Fatalf("message %q has %#x", message, c)
			}
		}
		if back, err := url.PathUnescape(string(message)); err != nil || utf8.Valid(value) && back != string(value) {
			t.Errorf("message %q of %q reads %q, %v", message, value, back, err)
		}
		grpc.IsCall(value)
	})
}
