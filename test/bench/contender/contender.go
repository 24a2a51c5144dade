// Package contender knows the proxies that are compared: how to find, configure and start each for one hop.
package contender

import (
	"embed"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"text/template"

	"github.com/leno-mesh/leno/test/bench/proc"
)

// Protocol of the requests on a hop.
type Protocol string

// The protocols.
const (
	HTTP1 Protocol = "http1"
	HTTP2 Protocol = "http2"
	GRPC  Protocol = "grpc"
	TCP   Protocol = "tcp"
)

// Hop is one proxy process: where it listens, where it sends to, and which of both sides is mutual TLS.
type Hop struct {
	Protocol    Protocol
	Listen      string
	Upstream    string
	ListenTLS   bool
	UpstreamTLS bool
	// Own is the certificate that the hop shows on its TLS side.
	Own Certificate
	// Roots is a PEM file; Peer the SPIFFE id that a TLS upstream must prove.
	Roots, Peer string
	// Hybrid offers X25519MLKEM768 for key exchange instead of X25519. Leno offers both by itself.
	Hybrid bool
	// Big says that 64 KiB or more come back at a time: what is best for them is not best for short answers.
	Big   bool
	Debug string // loopback address for what only Leno tells
}

// Certificate is a pair of PEM files. Both holds them in one, as HAProxy wants it.
type Certificate struct{ Chain, Key, Both string }

// Contender is one proxy that is compared.
type Contender struct {
	Name    string
	Version string
	// Missing says why it cannot run here, and what to do; nil: it can.
	Missing error
	// Speaks tells whether it can proxy a protocol.
	Speaks func(Protocol) bool
	// PlainOnly is set for those that have no TLS.
	PlainOnly bool
	// NoHybrid is set for those whose TLS library knows no hybrid key exchange.
	NoHybrid bool
	// CountsAllocs is set when the address Hop.Debug tells allocations and profiles.
	CountsAllocs bool
	// command says how to run it for a hop, with its files in dir.
	command func(dir string, h Hop) (proc.Spec, error)
}

// Start runs a contender for a hop on a core, with its files in dir.
func (c *Contender) Start(dir string, core int, h Hop) (*proc.Process, error) {
	own, err := os.MkdirTemp(dir, c.Name+"-")
	if err != nil {
		return nil, err
	}
	spec, err := c.command(own, h)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Name, err)
	}
	spec.Name, spec.Dir, spec.Core, spec.Ready = c.Name, own, core, h.Listen
	return proc.Start(spec)
}

//go:embed templates
var files embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{"host": host, "port": port}).ParseFS(files, "templates/*"))

// write fills in a template and gives the file's path.
func write(dir, name string, data any) (string, error) {
	path := filepath.Join(dir, name)
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	if err := templates.ExecuteTemplate(f, name, data); err != nil {
		return "", err
	}
	return path, f.Close()
}

func host(address string) (string, error) {
	h, _, err := net.SplitHostPort(address)
	return h, err
}

func port(address string) (string, error) {
	_, p, err := net.SplitHostPort(address)
	return p, err
}
