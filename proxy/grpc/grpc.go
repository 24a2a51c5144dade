// Package grpc is what a proxy must know of gRPC over HTTP/2: which requests are calls, how long they may take, and how a call is
// told that it failed.
package grpc

import (
	"time"
	"unicode/utf8"
)

// Status is a gRPC status code.
type Status uint8

// The status codes that a proxy uses or looks for.
const (
	OK                Status = 0
	Cancelled         Status = 1
	Unknown           Status = 2
	DeadlineExceeded  Status = 4
	PermissionDenied  Status = 7
	ResourceExhausted Status = 8
	Unimplemented     Status = 12
	Internal          Status = 13
	Unavailable       Status = 14
	Unauthenticated   Status = 16
	last              Status = 16
)

// String is the code as grpc-status has it.
func (s Status) String() string { return statusTexts[min(s, last)] }

var statusTexts = [...]string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16"}

const mediaType = "application/grpc"

// IsCall tells by Content-Type whether a request is a gRPC call; gRPC-Web is not.
func IsCall(contentType []byte) bool {
	if len(contentType) < len(mediaType) || string(contentType[:len(mediaType)]) != mediaType {
		return false
	}
	return len(contentType) == len(mediaType) || contentType[len(mediaType)] == '+' || contentType[len(mediaType)] == ';'
}

// Timeout reads a grpc-timeout: at most eight digits and a unit. False: it is malformed.
func Timeout(value []byte) (time.Duration, bool) {
	if len(value) < 2 || len(value) > 9 {
		return 0, false
	}
	var unit time.Duration
	switch value[len(value)-1] {
	case 'H':
		unit = time.Hour
	case 'M':
		unit = time.Minute
	case 'S':
		unit = time.Second
	case 'm':
		unit = time.Millisecond
	case 'u':
		unit = time.Microsecond
	case 'n':
		unit = time.Nanosecond
	default:
		return 0, false
	}
	n := time.Duration(0)
	for _, c := range value[:len(value)-1] {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + time.Duration(c-'0')
	}
	if n > maxTimeout/unit {
		return maxTimeout, true // 99,999,999 hours do not fit
	}
	return n * unit, true
}

const maxTimeout = 1<<63 - 1

// FromHTTP is the status of a call that was answered by HTTP alone (gRPC's "HTTP to gRPC status code mapping").
func FromHTTP(status int) Status {
	switch status {
	case 400, 431:
		return Internal
	case 401:
		return Unauthenticated
	case 403:
		return PermissionDenied
	case 404:
		return Unimplemented
	case 429, 502, 503, 504:
		return Unavailable
	}
	return Unknown
}

// FromReset is the status of a call whose stream was reset with a code of HTTP/2 (gRPC over HTTP/2, "Errors"), with one exception:
// INTERNAL_ERROR also stands for a connection that was lost, so it means that trying again may help.
func FromReset(code uint32) Status {
	switch code {
	case 0x2, 0x7: // INTERNAL_ERROR, REFUSED_STREAM
		return Unavailable
	case 0x8: // CANCEL
		return Cancelled
	case 0xb: // ENHANCE_YOUR_CALM
		return ResourceExhausted
	case 0xc: // INADEQUATE_SECURITY
		return PermissionDenied
	}
	return Internal
}

// ParseStatus reads a grpc-status; false when it is none.
func ParseStatus(value []byte) (Status, bool) {
	n := 0
	for _, c := range value {
		if c < '0' || c > '9' {
			return 0, false
		}
		if n = n*10 + int(c-'0'); n > int(last) {
			return 0, false
		}
	}
	return Status(n), len(value) > 0
}

// AppendMessage writes a text as a grpc-message: percent-encoded UTF-8 (gRPC over HTTP/2, "Responses").
func AppendMessage(dst, text []byte) []byte {
	const hex = "0123456789ABCDEF"
	if !utf8.Valid(text) {
		text = []byte("invalid message")
	}
	for _, c := range text {
		if c >= ' ' && c <= '~' && c != '%' {
			dst = append(dst, c)
			continue
		}
		dst = append(dst, '%', hex[c>>4], hex[c&15])
	}
	return dst
}
