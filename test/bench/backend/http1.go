package main

import (
	"bytes"
	"fmt"
	"net"
	"strconv"
)

// maxHead is more than any request of the benchmark with all that proxies add.
const maxHead = 16 << 10

// http1 answers GET /<size> with a body of that many bytes.
func http1(conn net.Conn) {
	buf := make([]byte, maxHead)
	var target, answer []byte
	filled := 0
	for {
		end := bytes.Index(buf[:filled], []byte("\r\n\r\n"))
		for end < 0 {
			n, err := conn.Read(buf[filled:])
			if err != nil || filled+n == len(buf) {
				return
			}
			filled += n
			end = bytes.Index(buf[:filled], []byte("\r\n\r\n"))
		}
		if asked := path(buf[:end]); !bytes.Equal(asked, target) {
			target, answer = append(target[:0], asked...), response(asked)
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
		filled = copy(buf, buf[end+4:filled])
	}
}

// path of a request.
func path(head []byte) []byte {
	_, rest, _ := bytes.Cut(head, []byte(" "))
	asked, _, _ := bytes.Cut(rest, []byte(" "))
	return asked
}

// response is the whole answer, made once per connection and path.
func response(path []byte) []byte {
	size, err := strconv.Atoi(string(bytes.TrimPrefix(path, []byte("/"))))
	if err != nil || size < 0 || size > 64<<20 {
		return []byte("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
	}
	head := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nDate: Mon, 02 Jan 2006 15:04:05 GMT\r\nServer: backend\r\n"+
		"Content-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", size)
	return append(head, make([]byte, size)...)
}
