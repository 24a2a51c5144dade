package forward_test

import (
	"testing"
)

func TestKeepAliveOnBothSides(t *testing.T) {
	w := newWorld(t)
	b := w.backend()
	w.cluster("c", b.addr())
	w.straight()
	c := w.dial()
	c.send("GET /a?x=1 HTTP/1.1\r\nHost: shop\r\nX-One: 1\r\n\r\n")
	up := b.accept()
	up.expect("GET /a?x=1 HTTP/1.1\r\nHost: shop\r\nX-One: 1\r\n\r\n")
	up.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Two: 2\r\n\r\nhi")
	c.expect("HTTP/1.1 200 OK\r\nX-Two: 2\r\nContent-Length: 2\r\n\r\nhi")
	if r := w.record(); r.Code != 200 || r.BytesOut != 2 || r.Service != "ns/svc:80" || r.Method != "GET" {
		t.Errorf("record %+v", r)
	}
	c.send("POST /b HTTP/1.1\r\nHost: shop\r\nContent-Length: 3\r\n\r\nabc")
	up.expect("POST /b HTTP/1.1\r\nHost: shop\r\nContent-Length: 3\r\n\r\nabc")
	up.send("HTTP/1.1 204 No Content\r\n\r\n")
	c.expect("HTTP/1.1 204 No Content\r\n\r\n")
}
