//go:build differential

package differential

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// message is one message as its bytes say, with nothing normalised.
type message struct {
	start    string
	fields   []string // "Name: value" as sent
	framing  string   // "", "sized", "chunked", "until close" or "frames"
	body     string
	trailers []string
}

var errMalformed = errors.New("not an HTTP/1.1 message")

// readHead reads a start line and fields.
func readHead(in *bufio.Reader) (*message, error) {
	m := &message{}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return nil, err
		}
		line = strings.TrimRight(line, "\r\n")
		switch {
		case m.start == "" && line == "":
			return nil, errMalformed
		case m.start == "":
			m.start = line
		case line == "":
			return m, nil
		default:
			m.fields = append(m.fields, line)
		}
	}
}

// get is the value of a field, those of several lines joined.
func (m *message) get(name string) string { return joined(m.fields)[name] }

// joined are field lines by name in lower case; several lines of one name are one value (RFC 9110 section 5.3, RFC 9113 section
// 8.2.3 for cookies).
func joined(lines []string) map[string]string {
	out := map[string]string{}
	for _, line := range lines {
		name, value := cutField(line)
		name, value = strings.ToLower(name), strings.Trim(value, " \t")
		if before, more := out[name]; more {
			separator := ","
			if name == "cookie" {
				separator = "; "
			}
			value = before + separator + value
		}
		out[name] = value
	}
	return out
}

// cutField is a field line in two. Names of pseudo-header fields begin with a colon (RFC 9113 section 8.3).
func cutField(line string) (name, value string) {
	pseudo := strings.HasPrefix(line, ":") && !strings.HasPrefix(line, ": ")
	if pseudo {
		line = line[1:]
	}
	name, value, _ = strings.Cut(line, ":")
	if pseudo {
		name = ":" + name
	}
	return name, value
}

// readBody reads what follows a head, as the head says. response allows bodies that end with the connection.
func readBody(in *bufio.Reader, m *message, response bool) error {
	length := m.get("content-length")
	switch {
	case strings.EqualFold(m.get("transfer-encoding"), "chunked"):
		m.framing = "chunked"
		return readChunks(in, m)
	case length != "":
		m.framing = "sized"
		n, err := strconv.Atoi(length)
		if err != nil {
			return fmt.Errorf("%w: Content-Length %q", errMalformed, length)
		}
		body := make([]byte, n)
		got, err := io.ReadFull(in, body)
		m.body = string(body[:got])
		return err
	case response:
		m.framing = "until close"
		body, err := io.ReadAll(in)
		m.body = string(body)
		return err
	}
	return nil
}

func readChunks(in *bufio.Reader, m *message) error {
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return unexpected(err)
		}
		size, _, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ";")
		n, err := strconv.ParseUint(size, 16, 31)
		if err != nil {
			return fmt.Errorf("%w: chunk size %q", errMalformed, size)
		}
		if n == 0 {
			break
		}
		chunk := make([]byte, n+2)
		got, err := io.ReadFull(in, chunk)
		m.body += string(chunk[:min(got, int(n))])
		if err != nil {
			return unexpected(err)
		}
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return unexpected(err)
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			return nil
		}
		m.trailers = append(m.trailers, line)
	}
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
