//go:build differential

package differential

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// exchange is one request as its backend answers it.
type exchange struct {
	conn    net.Conn
	in      *bufio.Reader
	service string
	request *message
}

func (x *exchange) write(format string, args ...any) bool {
	_, err := fmt.Fprintf(x.conn, format, args...)
	return err == nil
}

// answer answers as the request asks for. False ends the connection.
func (x *exchange) answer() bool {
	if answer, known := answers[x.request.get("x-answer")]; known {
		return answer(x)
	}
	return x.write("HTTP/1.1 500 Unknown Answer\r\nContent-Length: 0\r\n\r\n")
}

// own is the field that tells a backend's answers from a proxy's.
func (x *exchange) own() string { return "X-Backend: " + x.service + "\r\n" }

// reply answers with a head and a body; nothing follows the head of an answer to HEAD.
func (x *exchange) reply(head, body string) bool {
	if strings.HasPrefix(x.request.start, "HEAD ") {
		body = ""
	}
	return x.write("%s\r\n%s\r\n%s", head, x.own(), body)
}

func (x *exchange) hello() bool { return x.reply("HTTP/1.1 200 OK\r\nContent-Length: 6", "hello\n") }

func (x *exchange) reset() bool {
	_ = x.conn.(*net.TCPConn).SetLinger(0)
	return false
}

// answers are the ways to answer. False ends the connection.
var answers = map[string]func(*exchange) bool{
	"": (*exchange).hello,
	"chunked": func(x *exchange) bool {
		return x.reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", "3\r\nhel\r\n2;ext=1\r\nlo\r\n0\r\n\r\n")
	},
	"trailers": func(x *exchange) bool {
		return x.reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, X-More",
			"5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-More: a\r\n\r\n")
	},
	"until-close": func(x *exchange) bool { return x.reply("HTTP/1.1 200 OK", "hello") && false },
	"http10":      func(x *exchange) bool { return x.reply("HTTP/1.0 200 OK\r\nContent-Length: 5", "hello") && false },
	"http10-open": func(x *exchange) bool { return x.reply("HTTP/1.0 200 OK", "hello") && false },
	"empty":       func(x *exchange) bool { return x.reply("HTTP/1.1 200 OK\r\nContent-Length: 0", "") },
	"201": func(x *exchange) bool {
		return x.reply("HTTP/1.1 201 Created\r\nContent-Length: 0\r\nLocation: /x", "")
	},
	"204": func(x *exchange) bool { return x.reply("HTTP/1.1 204 No Content", "") },
	"205": func(x *exchange) bool { return x.reply("HTTP/1.1 205 Reset Content\r\nContent-Length: 0", "") },
	"304": func(x *exchange) bool {
		return x.reply("HTTP/1.1 304 Not Modified\r\nEtag: \"a\"\r\nContent-Length: 17", "")
	},
	"404": func(x *exchange) bool { return x.reply("HTTP/1.1 404 Not Found\r\nContent-Length: 2", "no") },
	"426": func(x *exchange) bool {
		return x.reply("HTTP/1.1 426 Upgrade Required\r\nUpgrade: foo\r\nConnection: upgrade\r\nContent-Length: 0", "")
	},
	"500": func(x *exchange) bool { return x.reply("HTTP/1.1 500 Oops\r\nContent-Length: 2", "no") },
	"503": func(x *exchange) bool {
		return x.reply("HTTP/1.1 503 Busy\r\nContent-Length: 2\r\nRetry-After: 1", "no")
	},
	"299":       func(x *exchange) bool { return x.reply("HTTP/1.1 299 Odd\r\nContent-Length: 0", "") },
	"599":       func(x *exchange) bool { return x.reply("HTTP/1.1 599 Odd\r\nContent-Length: 0", "") },
	"no-reason": func(x *exchange) bool { return x.reply("HTTP/1.1 200 \r\nContent-Length: 0", "") },
	"fields": func(x *exchange) bool {
		return x.reply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nVary: a\r\nvary: b\r\n"+
			"X-Empty:\r\nVia: 1.1 x\r\nServer: backend\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-Tab: a\tb\r\nX-Latin: caf\xe9", "")
	},
	"hop": func(x *exchange) bool {
		return x.reply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive", "")
	},
	"served-by": func(x *exchange) bool {
		return x.reply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Served-By: backend\r\nX-Gone: 1\r\nX-Header-Set: backend\r\nX-Header-Add: backend\r\nX-Header-Remove: backend", "")
	},
	"early-hints": func(x *exchange) bool {
		return x.write("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n") && x.hello()
	},
	"processing": func(x *exchange) bool { return x.write("HTTP/1.1 102 Processing\r\n\r\n") && x.hello() },
	"two-continues": func(x *exchange) bool {
		return x.write("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n") && x.hello()
	},
	"early-413": func(x *exchange) bool {
		return x.reply("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close", "") && false
	},
	"early-417": func(x *exchange) bool {
		return x.reply("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\nConnection: close", "") && false
	},
	"upgrade": func(x *exchange) bool {
		if x.request.get("upgrade") == "" {
			return x.hello()
		}
		x.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n%s\r\n", x.request.get("upgrade"), x.own())
		four := make([]byte, 4)
		if _, err := io.ReadFull(x.in, four); err == nil {
			x.write("%s", strings.ToUpper(string(four)))
		}
		return false
	},
	"upgrade-unasked": func(x *exchange) bool {
		return x.reply("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo", "") && false
	},
	"slow":  func(x *exchange) bool { return x.pause(300*time.Millisecond) && x.hello() },
	"stall": func(x *exchange) bool { return x.pause(2*time.Second) && x.hello() },
	"stall-body": func(x *exchange) bool {
		return x.reply("HTTP/1.1 200 OK\r\nContent-Length: 10", "hello") && x.pause(2*time.Second) && false
	},
	"eof":   func(*exchange) bool { return false },
	"reset": (*exchange).reset,
	"half":  func(x *exchange) bool { return x.reply("HTTP/1.1 200 OK\r\nContent-Length: 10", "hello") && false },
	"half-chunked": func(x *exchange) bool {
		return x.reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", "5\r\nhello\r\n") && false
	},
	"half-head":   func(x *exchange) bool { return x.write("HTTP/1.1 200 OK\r\nContent-Le") && false },
	"garbage":     func(x *exchange) bool { return x.write("220 mail.example.org ESMTP\r\n\r\n") && false },
	"bad-version": func(x *exchange) bool { return x.reply("HTTP/2.0 200 OK\r\nContent-Length: 0", "") && false },
	"bad-status":  func(x *exchange) bool { return x.reply("HTTP/1.1 20 OK\r\nContent-Length: 0", "") && false },
	"status-099":  func(x *exchange) bool { return x.reply("HTTP/1.1 099 Odd\r\nContent-Length: 0", "") && false },
	"two-lengths": func(x *exchange) bool {
		return x.reply("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6", "hello\n") && false
	},
	"length-and-chunked": func(x *exchange) bool {
		return x.reply("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n") && false
	},
	"bad-length": func(x *exchange) bool { return x.reply("HTTP/1.1 200 OK\r\nContent-Length: 5x", "hello") && false },
	"bad-chunk": func(x *exchange) bool {
		return x.reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", "5x\r\nhello\r\n0\r\n\r\n") && false
	},
	"gzip-coding": func(x *exchange) bool {
		return x.reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked", "5\r\nhello\r\n0\r\n\r\n") && false
	},
	"bare-lf": func(x *exchange) bool { return x.write("HTTP/1.1 200 OK\nContent-Length: 0\n\n") && false },
	"folded": func(x *exchange) bool {
		return x.reply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Fold: a\r\n b", "") && false
	},
	"bad-name": func(x *exchange) bool { return x.reply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX Y: a", "") && false },
	"body-204": func(x *exchange) bool {
		return x.write("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n%s\r\nhello", x.own()) && false
	},
	"extra-data": func(x *exchange) bool {
		return x.reply("HTTP/1.1 200 OK\r\nContent-Length: 5", "hello, and more") && false
	},
	"large": func(x *exchange) bool {
		return x.reply("HTTP/1.1 200 OK\r\nContent-Length: 300000", strings.Repeat("0123456789", 30000))
	},
	"large-head": func(x *exchange) bool {
		return x.reply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Large: "+strings.Repeat("a", 70<<10), "")
	},
	"many-fields": func(x *exchange) bool {
		return x.reply("HTTP/1.1 200 OK\r\nContent-Length: 0"+strings.Repeat("\r\nX-Many: a", 150), "")
	},
	"huge-head": func(x *exchange) bool {
		return x.reply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Large: "+strings.Repeat("a", 200<<10), "")
	},
}

// pause waits, or ends when the proxy goes away.
func (x *exchange) pause(d time.Duration) bool {
	x.conn.SetReadDeadline(time.Now().Add(d))
	_, err := x.in.Peek(1)
	x.conn.SetReadDeadline(time.Time{})
	return errors.Is(err, os.ErrDeadlineExceeded)
}
