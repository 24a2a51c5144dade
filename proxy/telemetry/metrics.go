package telemetry

import (
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/leno-mesh/leno/proxy/config"
)

// DefaultMaxSeries is how many different combinations of labels each of requests and connections may have. What comes
// after that is counted under the label value "overflow".
const DefaultMaxSeries = 1000

// Overflow is the label value of everything beyond the limit.
const Overflow = "overflow"

// durationBuckets are in seconds, from a fast call in the same node to a client's patience.
var durationBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}

var (
	requestLabels    = []string{"direction", "source", "destination", "service", "route", "protocol", "code", "grpc_status", "flag", "mtls"}
	durationLabels   = []string{"direction", "source", "destination", "service", "route"}
	connectionLabels = []string{"direction", "source", "destination", "service", "origin", "protocol", "flag", "mtls"}
)

// Metrics counts records in Prometheus metrics. It is a [Sink]. Labels are put together once for each combination;
// counting the same again neither formats nor allocates.
type Metrics struct {
	maxSeries int

	requests, requestBytes, responseBytes *prometheus.CounterVec
	duration                              *prometheus.HistogramVec
	connections, sent, received           *prometheus.CounterVec

	requestHandles    handles[requestKey, requestHandle]
	connectionHandles handles[connectionKey, connectionHandle]
}

// key parts that requests and connections share. Generations and pod names are left out: they would make new series
// all the time.
type commonKey struct {
	direction                     Direction
	source, destination           owner
	service                       string
	kind, namespace, origin, rule string
	protocol, flag                string
	mtls, overflow                bool
}

type owner struct{ namespace, name string }

type requestKey struct {
	commonKey
	code int
	grpc string // one of 17 codes, or empty
}

type connectionKey struct{ commonKey }

type requestHandle struct {
	of             *Metrics
	key            requestKey
	count, in, out prometheus.Counter
	duration       prometheus.Observer
}

type connectionHandle struct{ count, in, out prometheus.Counter }

// NewMetrics makes the metrics and registers them. maxSeries 0 means the default.
func NewMetrics(registry prometheus.Registerer, maxSeries int) *Metrics {
	if maxSeries == 0 {
		maxSeries = DefaultMaxSeries
	}
	counter := func(name, help string, labels []string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		registry.MustRegister(c)
		return c
	}
	m := &Metrics{
		maxSeries:     maxSeries,
		requests:      counter("leno_requests_total", "HTTP requests by what the client was answered.", requestLabels),
		requestBytes:  counter("leno_request_bytes_total", "Bytes of request bodies.", requestLabels),
		responseBytes: counter("leno_response_bytes_total", "Bytes of response bodies.", requestLabels),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "leno_request_duration_seconds", Help: "Time from the request's head to the end of the response.", Buckets: durationBuckets,
		}, durationLabels),
		connections: counter("leno_connections_total", "Finished connections whose bytes went through as they came, by how they ended.", connectionLabels),
		received:    counter("leno_tcp_received_bytes_total", "Bytes from clients in such connections.", connectionLabels),
		sent:        counter("leno_tcp_sent_bytes_total", "Bytes to clients in such connections.", connectionLabels),
	}
	registry.MustRegister(m.duration)
	return m
}

// Request counts a request.
func (m *Metrics) Request(r *Request) {
	key := requestKey{common(r.Direction, &r.Source, &r.Destination, r.Service, &r.Origin, r.Protocol, r.Flag, r.MTLS), r.Code, r.GRPC}
	handle := r.counted // most requests of a connection have the same labels
	if handle == nil || handle.of != m || handle.key != key {
		handle = m.requestHandles.get(key)
		r.counted = handle
	}
	if handle == nil {
		handle = m.requestHandles.add(key, m.maxSeries, m.newRequest, func(k requestKey) requestKey {
			k.commonKey = k.collapse()
			return k
		})
	}
	handle.count.Inc()
	handle.in.Add(float64(r.BytesIn))
	handle.out.Add(float64(r.BytesOut))
	handle.duration.Observe(r.Duration.Seconds())
}

// Connection counts a connection.
func (m *Metrics) Connection(c *Connection) {
	key := connectionKey{common(c.Direction, &c.Source, &c.Destination, c.Service, &c.Origin, c.Protocol, c.Flag, c.MTLS)}
	handle := m.connectionHandles.get(key)
	if handle == nil {
		handle = m.connectionHandles.add(key, m.maxSeries, m.newConnection, func(k connectionKey) connectionKey {
			k.commonKey = k.collapse()
			return k
		})
	}
	handle.count.Inc()
	handle.in.Add(float64(c.BytesIn))
	handle.out.Add(float64(c.BytesOut))
}

func common(direction Direction, source, destination *config.Workload, service string, o *config.Origin, protocol, flag string, mtls bool) commonKey {
	return commonKey{
		direction: direction, source: owner{source.Namespace, source.Name}, destination: owner{destination.Namespace, destination.Name},
		service: service, kind: o.Kind, namespace: o.Namespace, origin: o.Name, rule: o.Rule, protocol: protocol, flag: flag, mtls: mtls,
	}
}

// collapse keeps the labels that have few values by nature.
func (k commonKey) collapse() commonKey {
	return commonKey{direction: k.direction, protocol: k.protocol, flag: k.flag, mtls: k.mtls, overflow: true}
}

func (k *commonKey) labels() (source, destination, service, origin string) {
	if k.overflow {
		return Overflow, Overflow, Overflow, Overflow
	}
	return k.source.String(), k.destination.String(), k.service, k.originText()
}

// originText is "HTTPRoute shop/cart canary", or "Mesh default" for what has no namespace.
func (k *commonKey) originText() string {
	if k.kind == "" {
		return ""
	}
	text := k.kind + " " + k.origin
	if k.namespace != "" {
		text = k.kind + " " + k.namespace + "/" + k.origin
	}
	if k.rule != "" {
		text += " " + k.rule
	}
	return text
}

// String is "namespace/name", or "unknown" for a peer that is in no mesh.
func (o owner) String() string {
	if o == (owner{}) {
		return "unknown"
	}
	return o.namespace + "/" + o.name
}

func (m *Metrics) newRequest(k requestKey) *requestHandle {
	source, destination, service, route := k.labels()
	labels := []string{string(k.direction), source, destination, service, route, k.protocol, code(k.code), k.grpc, k.flag, strconv.FormatBool(k.mtls)}
	return &requestHandle{
		of: m, key: k,
		count:    m.requests.WithLabelValues(labels...),
		in:       m.requestBytes.WithLabelValues(labels...),
		out:      m.responseBytes.WithLabelValues(labels...),
		duration: m.duration.WithLabelValues(string(k.direction), source, destination, service, route),
	}
}

// code keeps backends from making series with invented status codes.
func code(status int) string {
	if status != 0 && (status < 100 || status > 599) {
		return "other"
	}
	return strconv.Itoa(status)
}

func (m *Metrics) newConnection(k connectionKey) *connectionHandle {
	source, destination, service, origin := k.labels()
	labels := []string{string(k.direction), source, destination, service, origin, k.protocol, k.flag, strconv.FormatBool(k.mtls)}
	return &connectionHandle{
		count: m.connections.WithLabelValues(labels...),
		in:    m.received.WithLabelValues(labels...),
		out:   m.sent.WithLabelValues(labels...),
	}
}

// handles is a map that is read without a lock and copied to be written, because it is written only when a new
// combination of labels appears.
type handles[K comparable, H any] struct {
	current atomic.Pointer[map[K]*H]
	mu      sync.Mutex // serialises writers
}

func (h *handles[K, H]) get(key K) *H {
	if m := h.current.Load(); m != nil {
		return (*m)[key]
	}
	return nil
}

// add makes the handle for key; beyond the limit, for its collapsed form.
func (h *handles[K, H]) add(key K, limit int, make func(K) *H, collapse func(K) K) *H {
	h.mu.Lock()
	defer h.mu.Unlock()
	old := map[K]*H{}
	if m := h.current.Load(); m != nil {
		old = *m
	}
	if len(old) >= limit {
		key = collapse(key)
	}
	if handle := old[key]; handle != nil {
		return handle
	}
	next := map[K]*H{}
	for k, v := range old {
		next[k] = v
	}
	next[key] = make(key)
	h.current.Store(&next)
	return next[key]
}
