package telemetry

import (
	"context"
	"encoding/json"
	"io"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/leno-mesh/leno/proxy/config"
)

// AccessLog writes one line of JSON for each request and connection while it is enabled. It is a [Sink]. Lines are
// written by [AccessLog.Run]; when the writer is slower than the traffic, lines are dropped and counted.
type AccessLog struct {
	enabled atomic.Bool
	lines   chan *[]byte
	dropped atomic.Int64
	pool    sync.Pool
}

// queue is how many lines wait for the writer.
const queue = 1024

// maxField bounds one value in a line (bytes): a path may have 100 KiB.
const maxField = 2048

// NewAccessLog makes one that is off.
func NewAccessLog() *AccessLog {
	return &AccessLog{
		lines: make(chan *[]byte, queue),
		pool:  sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }},
	}
}

// Enable turns it on or off.
func (l *AccessLog) Enable(on bool) { l.enabled.Store(on) }

// Enabled tells whether it is on.
func (l *AccessLog) Enabled() bool { return l.enabled.Load() }

// Dropped is how many lines were lost.
func (l *AccessLog) Dropped() int64 { return l.dropped.Load() }

// Run writes lines until ctx ends, and then those that wait.
func (l *AccessLog) Run(ctx context.Context, w io.Writer) {
	write := func(line *[]byte) {
		_, _ = w.Write(*line) // standard output is closed: there is nobody to tell
		l.pool.Put(line)
	}
	for {
		select {
		case line := <-l.lines:
			write(line)
		case <-ctx.Done():
			for {
				select {
				case line := <-l.lines:
					write(line)
				default:
					return
				}
			}
		}
	}
}

// Request logs a request.
func (l *AccessLog) Request(r *Request) {
	if !l.enabled.Load() {
		return
	}
	line := l.begin(r.Start, r.Direction)
	line.text("protocol", r.Protocol)
	line.text("method", r.Method)
	line.text("authority", r.Authority)
	line.text("path", r.Path)
	line.number("code", int64(r.Code))
	line.text("grpcStatus", r.GRPC)
	line.text("client", r.Client)
	line.end(l, r.Flag, &r.Source, &r.Destination, r.Service, &r.Origin, r.MTLS, r.Peer, r.Duration, r.BytesIn, r.BytesOut)
}

// Connection logs a connection.
func (l *AccessLog) Connection(c *Connection) {
	if !l.enabled.Load() {
		return
	}
	line := l.begin(c.Start, c.Direction)
	line.text("protocol", c.Protocol)
	line.text("client", c.Client)
	line.end(l, c.Flag, &c.Source, &c.Destination, c.Service, &c.Origin, c.MTLS, c.Peer, c.Duration, c.BytesIn, c.BytesOut)
}

// line is a JSON object in the making.
type line struct{ b *[]byte }

func (l *AccessLog) begin(start time.Time, direction Direction) line {
	buffer := l.pool.Get().(*[]byte)
	b := (*buffer)[:0]
	b = append(b, `{"time":"`...)
	b = start.UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z")
	b = append(b, `","direction":"`...)
	b = append(b, direction...)
	b = append(b, '"')
	*buffer = b
	return line{buffer}
}

func (n line) end(l *AccessLog, flag string, source, destination *config.Workload, service string, o *config.Origin, mtls bool, peer string, d time.Duration, in, out int64) {
	n.text("flag", flag)
	n.workload("source", source)
	n.workload("destination", destination)
	n.text("service", service)
	n.text("routeKind", o.Kind)
	n.text("routeNamespace", o.Namespace)
	n.text("routeName", o.Name)
	n.text("routeRule", o.Rule)
	n.text("peer", peer)
	*n.b = append(append(*n.b, `,"mtls":`...), strconv.FormatBool(mtls)...)
	n.number("durationMicros", d.Microseconds())
	n.number("bytesIn", in)
	n.number("bytesOut", out)
	*n.b = append(*n.b, '}', '\n')
	select {
	case l.lines <- n.b:
	default:
		l.dropped.Add(1)
		l.pool.Put(n.b)
	}
}

func (n line) workload(name string, w *config.Workload) {
	if w.Name == "" && w.Pod == "" && w.Identity == "" {
		return
	}
	n.text(name+"Namespace", w.Namespace)
	n.text(name, w.Name)
	n.text(name+"Pod", w.Pod)
	n.text(name+"Identity", w.Identity)
}

// text adds a field; empty ones are left out.
func (n line) text(name, value string) {
	if value == "" {
		return
	}
	if len(value) > maxField {
		value = value[:maxField]
	}
	*n.b = appendQuoted(append(append(append(*n.b, `,"`...), name...), `":`...), value)
}

func (n line) number(name string, value int64) {
	*n.b = strconv.AppendInt(append(append(append(*n.b, `,"`...), name...), `":`...), value, 10)
}

// appendQuoted adds a JSON string. Values come from clients: whatever is not plain text goes the careful way.
func appendQuoted(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			quoted, _ := json.Marshal(s) // a string cannot fail
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// Tee is a [Sink] that gives each record to several.
type Tee []Sink

// Request passes a request on.
func (t Tee) Request(r *Request) {
	for _, sink := range t {
		sink.Request(r)
	}
}

// Connection passes a connection on.
func (t Tee) Connection(c *Connection) {
	for _, sink := range t {
		sink.Connection(c)
	}
}

// Peer formats an address for a record.
func Peer(address netip.AddrPort) string {
	if !address.IsValid() {
		return ""
	}
	return address.String()
}
