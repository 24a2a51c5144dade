// Package fail is the one place where failures become answers: which status, which flag in telemetry, which words.
package fail

import (
	"errors"

	"github.com/leno-mesh/leno/proxy/telemetry"
)

// Kind says why the proxy answered by itself or gave up.
type Kind uint8

// The kinds of failure.
const (
	None Kind = iota
	BadRequest
	HeadTooLarge
	LineTooLong
	Expectation
	Version
	Coding
	Connect
	BodyTooLarge
	HeaderTimeout
	NoRoute
	BadRoute
	BadBackend
	NoEndpoints
	ConnectFailed
	Overload
	UpstreamReset
	UpstreamGarbage
	UpstreamTooLarge
	RequestTimeout
	BackendTimeout
	ClientGone
	ClientStalled
	NoHello
	NoServerName
	NoCertificate
	AuthDenied
	AuthFailed
	RetryBudget
	NotRegistered
	kinds
)

// Entry is what a kind turns into. Status 0: there is nobody left to answer.
type Entry struct {
	Status int
	Flag   string // in metrics and access logs
	Text   string // what the client reads after the hop's name
}

// table maps failures to answers. Flags are part of the metrics' contract: do not change them.
var table = [kinds]Entry{
	BadRequest:       {400, "bad_request", "bad request"},
	HeadTooLarge:     {431, "header_too_large", "request header too large"},
	LineTooLong:      {414, "uri_too_long", "request line too long"},
	Expectation:      {417, "bad_expectation", "expectation cannot be met"},
	Version:          {505, "bad_version", "HTTP version not supported"},
	Coding:           {501, "bad_coding", "transfer coding not implemented"},
	Connect:          {405, "connect_refused", "CONNECT is forwarded only where a route names it"},
	BodyTooLarge:     {413, "body_too_large", "request body too large"},
	HeaderTimeout:    {408, "header_timeout", "request header took too long"},
	NoRoute:          {404, "no_route", "no route matches"},
	BadRoute:         {500, "bad_route", "the route is not valid"},
	BadBackend:       {500, "bad_backend", "the route has no valid backend"},
	NoEndpoints:      {503, "no_endpoints", "no endpoint is ready"},
	ConnectFailed:    {503, "connect_failed", "connecting to the backend failed"},
	Overload:         {503, "overload", "too many requests in flight"},
	UpstreamReset:    {502, "upstream_reset", "the backend closed the connection before it answered"},
	UpstreamGarbage:  {502, "upstream_garbage", "the backend's answer is not valid HTTP"},
	UpstreamTooLarge: {502, "upstream_header_too_large", "the backend's response header is too large"},
	RequestTimeout:   {504, "request_timeout", "the request took longer than its timeout"},
	BackendTimeout:   {504, "backend_timeout", "the backend took longer than its timeout"},
	ClientGone:       {0, "client_gone", "the client went away"},
	ClientStalled:    {408, "client_stalled", "the request body stopped coming"},
	NoHello:          {0, "no_client_hello", "the connection does not begin with TLS"},
	NoServerName:     {0, "no_server_name", "no rule takes the server name"},
	NoCertificate:    {0, "no_certificate", "the listener has no certificate"},
	AuthDenied:       {403, "auth_denied", "the authorization server does not allow the request"},
	AuthFailed:       {503, "auth_failed", "the authorization server has not decided about the request"},
	RetryBudget:      {503, "retry_budget", "the budget for retries to the backend is spent"},
	NotRegistered:    {403, "not_registered", "the host is not registered"},
}

// Of returns what k turns into.
func Of(k Kind) Entry { return table[k] }

// Error is a failure with its cause. Detail is for the client and must hold no secret.
type Error struct {
	Kind   Kind
	Detail string
	Err    error
}

func (e *Error) Error() string {
	text := table[e.Kind].Text
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// KindOf finds the kind of err; UpstreamReset where it names none, since only the network returns untyped errors.
func KindOf(err error) Kind {
	if err == nil {
		return None
	}
	var typed *Error
	if errors.As(err, &typed) {
		return typed.Kind
	}
	return UpstreamReset
}

// FromStatus finds the kind for a refusal of a request by its codec.
func FromStatus(status int) Kind {
	switch status {
	case 414:
		return LineTooLong
	case 417:
		return Expectation
	case 431:
		return HeadTooLarge
	case 501:
		return Coding
	case 505:
		return Version
	}
	return BadRequest
}

// AppendText writes the body of an answer: the hop that failed, why, and details.
func AppendText(dst []byte, k Kind, direction telemetry.Direction, detail string) []byte {
	dst = append(dst, "leno "...)
	dst = append(dst, direction...)
	dst = append(dst, ": "...)
	dst = append(dst, table[k].Text...)
	if detail != "" {
		dst = append(dst, ": "...)
		dst = append(dst, detail...)
	}
	return append(dst, '\n')
}
