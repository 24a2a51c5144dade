package http1_test

import (
	"strings"
	"testing"

	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/test/smuggling"
)

// TestReasonsHold: each reason why net/http accepts more, or less, than this package is true of some message. One that no
// longer is must go.
func TestReasonsHold(t *testing.T) {
	long := strings.Repeat("a", http1.MaxHead)
	requests := []string{
		"GET / HTTP/1.1\r\nHost: h\r\nA: " + long + "\r\n\r\n",
		"GET /" + long[:http1.MaxRequestLine] + " HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("A: b\r\n", http1.MaxFields) + "\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\nConnection: a b\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0000000000000000000\r\n\r\n",
		strings.Repeat("M", http1.MaxMethod+1) + " / HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET http:///x HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST / HTTP/1.0\r\nContent-Length: 0\r\nTransfer-Encoding: x\r\n\r\n",
	}
	for _, c := range smuggling.Cases() {
		requests = append(requests, c.Raw)
	}
	found := map[error]bool{}
	for _, raw := range requests {
		_, err := ourRequest(raw)
		if _, theirErr := theirRequest(withoutEmptyLine(raw)); err != nil && theirErr == nil {
			found[err] = true
		}
	}
	for _, raw := range []string{"HTTP/1.1 099 OK\r\n\r\n", "HTTP/1.0 200 OK\r\nTransfer-Encoding: x, y\r\n\r\n"} {
		_, err := ourResponse(raw, false)
		if _, theirErr := theirResponse(raw, false); err != nil && theirErr == nil {
			found[err] = true
		}
	}
	for err, because := range moreThanWe {
		if !found[err] {
			t.Errorf("no example of %q: %s", err, because)
		}
	}
	for _, l := range lessThanWe {
		_, err := ourRequest(l.example)
		_, theirErr := theirRequest(l.example)
		if err != nil || theirErr == nil || !strings.Contains(theirErr.Error(), l.says) {
			t.Errorf("%q: we say %v, net/http says %v, want nil and %q: %s", l.example, err, theirErr, l.says, l.because)
		}
	}
}
