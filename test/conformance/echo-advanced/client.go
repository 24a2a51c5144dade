package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	connectTimeout = 2 * time.Second
	// workers is how many requests are under way at a time. The suite sends up to 500 in a run.
	workers = 20
	// maxBody bounds what is read of one answer, in bytes.
	maxBody = 1 << 20
)

type header struct{ name, value string }

// request is what the client's arguments ask for.
type request struct {
	url     *url.URL
	method  string
	headers []header
	count   int
	timeout time.Duration
}

// parseRequest takes the URL first or last: the suite puts it first.
func parseRequest(args []string) (request, error) {
	r := request{}
	flags := flag.NewFlagSet("client", flag.ContinueOnError)
	flags.StringVar(&r.method, "method", http.MethodGet, "HTTP method")
	flags.IntVar(&r.count, "count", 1, "how many requests to make")
	flags.DurationVar(&r.timeout, "timeout", 5*time.Second, "limit of one request")
	flags.Func("H", "header as name:value (repeatable)", func(s string) error {
		name, value, found := strings.Cut(s, ":")
		if !found || name == "" {
			return fmt.Errorf("header %q: write it as name:value", s)
		}
		r.headers = append(r.headers, header{strings.TrimSpace(name), strings.TrimSpace(value)})
		return nil
	})
	var target string
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		target, args = args[0], args[1:]
	}
	if err := flags.Parse(args); err != nil {
		return r, err
	}
	if target == "" {
		target = flags.Arg(0)
	}
	var err error
	if r.url, err = url.Parse(target); err != nil {
		return r, fmt.Errorf("url: %w", err)
	}
	if r.url.Host == "" || r.count < 1 {
		return r, errors.New("usage: client SCHEME://HOST[:PORT][/PATH] [--method=GET] [-H name:value]... [--count=1]")
	}
	return r, nil
}

// call makes the requests and prints their answers in order, with an empty line after each. A request without an
// answer makes the whole run fail; any HTTP status is an answer.
func call(ctx context.Context, args []string, out io.Writer) error {
	r, err := parseRequest(args)
	if err != nil {
		return err
	}
	one, done, err := caller(r)
	if err != nil {
		return err
	}
	defer done()
	answers := make([]string, r.count)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for i := range answers {
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, r.timeout)
			defer cancel()
			answer, err := one(ctx)
			if err != nil {
				return fmt.Errorf("request %d: %w", i, err)
			}
			answers[i] = answer
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i, answer := range answers {
		if _, err := io.WriteString(out, section(i, answer)); err != nil {
			return err
		}
	}
	return nil
}

// caller returns the function that makes one request, by scheme.
func caller(r request) (one func(context.Context) (string, error), done func(), err error) {
	switch r.url.Scheme {
	case "http", "https":
		client := &http.Client{
			Transport: &http.Transport{
				DisableKeepAlives:  true, // each request shows the load balancing of new connections
				DisableCompression: true,
				DialContext:        (&net.Dialer{Timeout: connectTimeout}).DialContext,
				TLSClientConfig:    &tls.Config{ServerName: r.host(), InsecureSkipVerify: true}, // the server made its certificate itself
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		return func(ctx context.Context) (string, error) { return callHTTP(ctx, client, r) }, func() {}, nil
	case "grpc":
		conn, err := dialGRPC(r.url.Host)
		if err != nil {
			return nil, nil, err
		}
		return func(ctx context.Context) (string, error) { return callGRPC(ctx, conn, r) }, func() { conn.Close() }, nil
	case "tcp":
		return func(ctx context.Context) (string, error) { return callTCP(ctx, r.url.Host) }, func() {}, nil
	}
	return nil, nil, fmt.Errorf("scheme %q: http, https, grpc and tcp are known", r.url.Scheme)
}

// host is the name that is asked for, in TLS too: header Host, or the URL's.
func (r request) host() string {
	for _, h := range r.headers {
		if strings.EqualFold(h.name, "host") {
			return h.value
		}
	}
	return r.url.Hostname()
}

func callHTTP(ctx context.Context, client *http.Client, r request) (string, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, r.url.String(), nil)
	if err != nil {
		return "", err
	}
	for _, h := range r.headers {
		if strings.EqualFold(h.name, "host") {
			req.Host = h.value // the connection still goes to the URL's host
			continue
		}
		req.Header.Add(h.name, h.value)
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return "", fmt.Errorf("body: %w", err)
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "StatusCode=%d\n", resp.StatusCode)
	writeHeaders(&out, "ResponseHeader", resp.Header)
	for line := range strings.Lines(string(body)) {
		fmt.Fprintf(&out, "body] %s\n", strings.TrimRight(line, "\r\n"))
	}
	return out.String(), nil
}

// section prefixes the lines of one answer with its number and drops its empty lines: an empty line ends a section.
func section(number int, answer string) string {
	var out strings.Builder
	for line := range strings.Lines(answer) {
		line = strings.TrimSpace(line)
		if rest, found := strings.CutPrefix(line, "body] "); found {
			fmt.Fprintf(&out, "[%d body] %s\n", number, rest)
		} else if line != "" {
			fmt.Fprintf(&out, "[%d] %s\n", number, line)
		}
	}
	out.WriteString("\n")
	return out.String()
}
