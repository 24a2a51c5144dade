package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// ports is a flag that may be given several times.
type ports []int

func (p *ports) String() string { return fmt.Sprint(*p) }

func (p *ports) Set(value string) error {
	n, err := strconv.ParseUint(value, 10, 16)
	if err != nil {
		return fmt.Errorf("%q is not a port", value)
	}
	*p = append(*p, int(n))
	return nil
}

// settings are the server's flags; the suite's consumer pod gives none.
type settings struct {
	http, tls, grpc, tcp ports
	crt, key             string
}

func parseSettings(args []string) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	flags.Var(&s.http, "port", "HTTP port (repeatable)")
	flags.Var(&s.tls, "tls", "which of the HTTP ports speak TLS (repeatable)")
	flags.Var(&s.grpc, "grpc", "gRPC port (repeatable)")
	flags.Var(&s.tcp, "tcp", "TCP port (repeatable)")
	flags.StringVar(&s.crt, "crt", "", "certificate of the TLS ports, PEM; one is made when the file is missing")
	flags.StringVar(&s.key, "key", "", "key of the certificate, PEM")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if len(s.http)+len(s.grpc)+len(s.tcp) == 0 {
		s.http, s.grpc, s.tcp = ports{8080}, ports{7070}, ports{9090}
	}
	return s, nil
}

// serve answers on all ports until ctx ends; then it finishes what is in flight.
func serve(ctx context.Context, args []string, out io.Writer) error {
	s, err := parseSettings(args)
	if err != nil {
		return err
	}
	hostname, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("the pod's name: %w", err)
	}
	logger := log.New(out, "", log.LstdFlags)
	group, ctx := errgroup.WithContext(ctx)
	start := func(kind string, port int, run func(context.Context, net.Listener) error) error {
		listener, err := net.Listen("tcp", ":"+strconv.Itoa(port))
		if err != nil {
			return fmt.Errorf("%s port: %w", kind, err)
		}
		logger.Printf("listening on %s port %d", kind, port)
		group.Go(func() error { return run(ctx, listener) })
		return nil
	}
	for _, port := range s.http {
		kind, run := "http", serveHTTP(hostname, port, nil)
		if slices.Contains(s.tls, port) {
			certificate, err := loadCertificate(s.crt, s.key)
			if err != nil {
				return err
			}
			kind, run = "https", serveHTTP(hostname, port, &certificate)
		}
		if err := start(kind, port, run); err != nil {
			return err
		}
	}
	for _, port := range s.grpc {
		if err := start("grpc", port, serveGRPC(hostname)); err != nil {
			return err
		}
	}
	for _, port := range s.tcp {
		if err := start("tcp", port, serveTCP(hostname)); err != nil {
			return err
		}
	}
	return group.Wait()
}

// serveHTTP answers HTTP/1.1 and HTTP/2, the latter in plain text by prior knowledge.
func serveHTTP(hostname string, port int, certificate *tls.Certificate) func(context.Context, net.Listener) error {
	return func(ctx context.Context, listener net.Listener) error {
		server := &http.Server{Handler: echoHTTP(hostname, port), ReadHeaderTimeout: 10 * time.Second, Protocols: new(http.Protocols)}
		server.Protocols.SetHTTP1(true)
		server.Protocols.SetHTTP2(true)
		server.Protocols.SetUnencryptedHTTP2(true)
		context.AfterFunc(ctx, func() {
			grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			_ = server.Shutdown(grace) // what is still open after the grace ends with the process
		})
		var err error
		if certificate != nil {
			server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*certificate}}
			err = server.ServeTLS(listener, "", "")
		} else {
			err = server.Serve(listener)
		}
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return err
	}
}

// echoHTTP answers any method and path with 200 and one fact of the request per line.
func echoHTTP(hostname string, port int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 1<<20))
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprintf(w, "Hostname=%s\n", hostname)
		fmt.Fprintf(w, "ServicePort=%d\nHost=%s\nMethod=%s\nURL=%s\nProto=%s\n", port, r.Host, r.Method, r.URL.RequestURI(), r.Proto)
		writeHeaders(w, "RequestHeader", r.Header)
	})
}

// writeHeaders prints one line per value: names sorted, values of one name in their order.
func writeHeaders(w io.Writer, label string, headers map[string][]string) {
	names := make([]string, 0, len(headers))
	for name := range headers {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		for _, value := range headers[name] {
			fmt.Fprintf(w, "%s=%s:%s\n", label, name, strings.ReplaceAll(value, "\n", " "))
		}
	}
}

// serveTCP greets nobody: it waits for a line and answers with its name and that line, as often as lines come.
func serveTCP(hostname string) func(context.Context, net.Listener) error {
	return func(ctx context.Context, listener net.Listener) error {
		context.AfterFunc(ctx, func() { listener.Close() })
		for {
			conn, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("tcp port: %w", err)
			}
			go echoTCP(conn, hostname)
		}
	}
}
