package forward_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestNoRequestIsSmuggled sends what other proxies have been tricked with, each with a second request hidden behind it,
// and counts the requests that a backend of another make, net/http, reads from what is passed on.
func TestNoRequestIsSmuggled(t *testing.T) {
	const evil = "GET /evil HTTP/1.1\r\nHost: h\r\n\r\n"
	post := func(fields, body string) string { return "POST / HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n" + body }
	for name, request := range map[string]string{
		"CL.TE":                       post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+evil),
		"TE.CL":                       post("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "1\r\nZ\r\n0\r\n\r\n"+evil),
		"TE.TE, space before colon":   post("Transfer-Encoding : chunked\r\nContent-Length: 3\r\n", "0\r\n\r\n"+evil),
		"TE.TE, vertical tab":         post("Transfer-Encoding: \x0bchunked\r\nContent-Length: 3\r\n", "0\r\n\r\n"+evil),
		"TE.TE, folded":               post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"+evil),
		"TE.TE, two lines":            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", "0\r\n\r\n"+evil),
		"two lengths":                 post("Content-Length: 0\r\nContent-Length: 31\r\n", evil),
		"length with sign":            post("Content-Length: +0\r\n", evil),
		"length list":                 post("Content-Length: 0, 31\r\n", evil),
		"bare LF hides a field":       post("A: b\nContent-Length: 31\r\n", evil),
		"bare CR hides a field":       post("A: b\rContent-Length: 31\r\n", evil),
		"NUL hides a field":           post("A: b\x00\r\nContent-Length: 0\r\n", evil),
		"chunk size with extension":   post("Transfer-Encoding: chunked\r\n", "2;\nxx\r\n"+evil),
		"chunk size overflow":         post("Transfer-Encoding: chunked\r\n", "10000000000000000\r\n"+evil),
		"chunk ends in bare LF":       post("Transfer-Encoding: chunked\r\n", "1\r\nZ\n0\r\n\r\n"+evil),
		"trailer hides a request":     post("Transfer-Encoding: chunked\r\n", "0\r\nA: b\n\n"+evil),
		"Connection removes length":   post("Content-Length: 31\r\nConnection: Content-Length\r\n", evil),
		"body behind GET":             "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 31\r\n\r\n" + evil,
		"upgrade to h2c":              "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\nContent-Length: 31\r\n\r\n" + evil,
		"upgrade with a body":         "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 31\r\n\r\n" + evil,
		"expectation with a body":     post("Expect: 100-continue\r\nContent-Length: 31\r\n", evil),
		"HTTP/1.0 with chunks":        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + evil,
		"absolute-form, path in host": "GET http://h/x HTTP/1.1\r\nHost: h\r\nContent-Length: 31\r\n\r\n" + evil,
	} {
		t.Run(name, func(t *testing.T) {
			w, b := one(t)
			var mu sync.Mutex
			var seen []string
			server := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				mu.Lock()
				seen = append(seen, r.URL.Path)
				mu.Unlock()
				io.Copy(io.Discard, r.Body)
			})}
			go server.Serve(b.l)
			defer server.Close()
			c := w.dial()
			c.conn.SetDeadline(time.Now().Add(patience))
			c.send(request)
			c.conn.(interface{ CloseWrite() error }).CloseWrite()
			r := bufio.NewReader(c.r)
			if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 ") {
				t.Errorf("answered %q, %v", line, err)
			}
			io.Copy(io.Discard, r)
			mu.Lock()
			defer mu.Unlock()
			if strings.Contains(strings.Join(seen, " "), "evil") {
				t.Errorf("the backend saw %v", seen)
			}
		})
	}
}
