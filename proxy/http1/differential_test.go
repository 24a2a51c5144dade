package http1_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/msg"
)

// message is a request or a response as one reader understood it, body and trailers included.
type message struct {
	method, target, host string
	status               int
	body                 string
	trailers             []string // "Name: value", sorted
	rest                 string   // what follows it
}

// errShort: the message is not all there.
var errShort = errors.New("cut short")

// ourRequest reads one request with this package.
func ourRequest(raw string) (message, error) {
	req := new(msg.Request)
	end, err := http1.HeadEnd([]byte(raw), 0)
	if err == nil && end == 0 {
		err = errShort
	}
	if err == nil {
		err = http1.ParseRequest([]byte(raw[:end]), req)
	}
	if err != nil {
		return message{}, err
	}
	m := message{method: string(req.Method), target: string(req.Path), host: string(req.Authority)}
	if req.HasQuery {
		m.target += "?" + string(req.Query)
	}
	return m, m.readBody(raw[end:], req.Body)
}

// ourResponse likewise; the end of raw is the end of the connection.
func ourResponse(raw string, isHead bool) (message, error) {
	var resp msg.Response
	resp.Reset()
	end, err := http1.HeadEnd([]byte(raw), 0)
	if err == nil && end == 0 {
		err = errShort
	}
	if err == nil {
		err = http1.ParseResponse([]byte(raw[:end]), isHead, &resp)
	}
	if err != nil {
		return message{}, err
	}
	m := message{status: resp.Status}
	return m, m.readBody(raw[end:], resp.Body)
}

func (m *message) readBody(raw string, body msg.Body) error {
	switch body.Kind {
	case msg.Sized:
		if body.Length > int64(len(raw)) {
			return errShort
		}
		m.body, m.rest = raw[:body.Length], raw[body.Length:]
	case msg.Chunked:
		var c http1.Chunks
		data, n, err := c.Decode(nil, []byte(raw))
		if err == nil && !c.Done() {
			err = errShort
		}
		if err != nil {
			return err
		}
		m.body, m.rest = string(data), raw[n:]
		for _, f := range c.Trailers {
			m.trailers = append(m.trailers, textproto.CanonicalMIMEHeaderKey(string(f.Name))+": "+string(f.Value))
		}
		slices.Sort(m.trailers)
	case msg.UntilClose:
		m.body = raw
	default:
		m.rest = raw
	}
	return nil
}

// theirRequest reads one request with net/http.
func theirRequest(raw string) (message, error) {
	r := strings.NewReader(raw)
	b := bufio.NewReader(r)
	req, err := http.ReadRequest(b)
	if err != nil {
		return message{}, err
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return message{}, fmt.Errorf("body: %w", err)
	}
	m := message{method: req.Method, target: req.RequestURI, host: req.Host, body: string(body), trailers: theirTrailers(req.Trailer)}
	m.rest = unread(b, r)
	return m, nil
}

// theirResponse likewise.
func theirResponse(raw string, isHead bool) (message, error) {
	method := "GET"
	if isHead {
		method = "HEAD"
	}
	r := strings.NewReader(raw)
	b := bufio.NewReader(r)
	resp, err := http.ReadResponse(b, &http.Request{Method: method})
	if err != nil {
		return message{}, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return message{}, fmt.Errorf("body: %w", err)
	}
	return message{status: resp.StatusCode, body: string(body), trailers: theirTrailers(resp.Trailer), rest: unread(b, r)}, nil
}

func unread(b *bufio.Reader, r *strings.Reader) string {
	buffered, _ := b.Peek(b.Buffered())
	rest, _ := io.ReadAll(r)
	return string(buffered) + string(rest)
}

// theirTrailers leaves out what this package drops (RFC 9110 section 6.5.1), and names that were announced and did not come.
func theirTrailers(h http.Header) []string {
	var list []string
	for name, values := range h {
		if slices.Contains(droppedTrailers, strings.ToLower(name)) {
			continue
		}
		for _, v := range values {
			list = append(list, name+": "+v)
		}
	}
	slices.Sort(list)
	return list
}

var droppedTrailers = []string{"transfer-encoding", "content-length", "host", "connection", "keep-alive", "te", "upgrade", "trailer", "expect",
	"authorization", "content-encoding", "content-type", "content-range", "cookie", "set-cookie", "proxy-connection"}

// moreThanWe are the reasons why net/http accepts messages that this package refuses. Whatever it accepts beyond them is
// a fault of the test or of this package.
var moreThanWe = map[error]string{
	http1.ErrBareLF:          "it takes LF for a line end (RFC 9112 section 2.2 allows that)",
	http1.ErrFold:            "it joins folded lines (RFC 9112 section 5.2 wants them refused)",
	http1.ErrFieldName:       "it takes a line of white space for a fold, and spaces in a name for a part of it",
	http1.ErrTarget:          "it takes other schemes, userinfo, fragments, and * for any method",
	http1.ErrMethod:          "it has no limit to the length of a method",
	http1.ErrVersion:         "it reads any major and minor version, and leaves them to its caller",
	http1.ErrStatusLine:      "it takes statuses below 100, and any version",
	http1.ErrHostMissing:     "it leaves that to its server",
	http1.ErrHost:            "it leaves that to its server",
	http1.ErrExpect:          "it leaves that to its server",
	http1.ErrConnection:      "it does not read all of Connection",
	http1.ErrLength:          "it takes more than 18 digits",
	http1.ErrLengthDuplicate: "it takes equal lengths for one (RFC 9112 section 6.3 allows that)",
	http1.ErrLengthAndCoding: "it lets Transfer-Encoding win (RFC 9112 section 6.3 allows that)",
	http1.ErrCoding:          "it ignores codings in HTTP/1.0",
	http1.ErrCodingUnknown:   "it ignores codings in HTTP/1.0",
	http1.ErrCodingOld:       "it ignores codings in HTTP/1.0",
	http1.ErrChunkSize:       "it takes white space and any octet behind the size, and 16 digits",
	http1.ErrChunkLine:       "it lets extensions be 4 KiB long",
	http1.ErrHeadTooLarge:    "it leaves limits to its server",
	http1.ErrLineTooLong:     "it leaves limits to its server",
	http1.ErrTooManyFields:   "it leaves limits to its server",
}

// lessThanWe are the reasons why net/http refuses what this package passes on as it is. Words of its errors.
var lessThanWe = []struct{ says, example, because string }{
	{"invalid URL escape", "GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", "a % in a target that is not an escape is the backend's business"},
	{"invalid host", "GET http://[a]/ HTTP/1.1\r\nHost: h\r\n\r\n", "net/url looks into IP literals"},
	{"bad trailer key", "POST / HTTP/1.1\r\nHost: h\r\nTrailer: Content-Length\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "a Trailer field that announces a framing field is harmless: such trailers are dropped"},
	{"too much non-data", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1;"+strings.Repeat("a", 200)+"\r\nx\r\n", 200) + "0\r\n\r\n", "net/http bounds the sum of chunk overhead, this package each line"},
}

// verdict compares what both readers made of the same octets; "" where they agree as far as they should.
func verdict(ours message, ourErr error, theirs message, theirErr error) string {
	switch {
	case errors.Is(ourErr, errShort):
		return "" // theirs may have a reason to stop earlier
	case ourErr != nil:
		if theirErr == nil && moreThanWe[ourErr] == "" {
			return fmt.Sprintf("net/http accepts what is refused with %q, which is no known reason", ourErr)
		}
		return ""
	case theirErr != nil:
		for _, known := range lessThanWe {
			if strings.Contains(theirErr.Error(), known.says) {
				return ""
			}
		}
		return fmt.Sprintf("accepted, but net/http refuses: %v", theirErr)
	}
	if host, err := url.PathUnescape(ours.host); err == nil {
		ours.host = host // net/url removes escapes from the host of an absolute-form
	}
	if host, err := url.PathUnescape(theirs.host); err == nil {
		theirs.host = host
	}
	theirs.target = originForm(theirs.target)
	if got, want := fmt.Sprintf("%+v", theirs), fmt.Sprintf("%+v", ours); got != want {
		return fmt.Sprintf("net/http reads\n%s\nwe read\n%s", got, want)
	}
	return ""
}

// originForm is what a target in absolute-form says in origin-form (RFC 9112 section 3.2.2).
func originForm(target string) string {
	_, rest, absolute := strings.Cut(target, "://")
	if !absolute || target[0] == '/' {
		return target
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		return "/"
	}
	if rest = rest[end:]; rest[0] == '?' {
		rest = "/" + rest
	}
	return rest
}

// withoutEmptyLine drops the empty line before a request, which net/http leaves to its server.
func withoutEmptyLine(raw string) string { return strings.TrimPrefix(raw, "\r\n") }
