package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Health is what the proxy tells about itself; functions are asked when metrics are read.
type Health struct {
	CertificateExpiry func() (notAfter time.Time, ok bool)
	Ready             func() bool
	Connected         func() bool  // to the control plane
	Refused           func() int64 // resources that were refused (NACK)
	DroppedLogLines   func() int64
}

// Counters are about connections before anything is known of them, and about the proxy itself.
type Counters struct {
	opened, closed *prometheus.CounterVec
	verdicts       *prometheus.CounterVec
	waited         *prometheus.CounterVec
	refused        *prometheus.CounterVec
	floods         *prometheus.CounterVec
	authorized     *prometheus.HistogramVec
	// Datagrams are about what a gateway relays of them.
	Datagrams *Datagrams
}

// NewCounters makes the metrics and registers them.
func NewCounters(registry prometheus.Registerer) *Counters {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		registry.MustRegister(c)
		return c
	}
	authorized := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "leno_external_auth_duration_seconds", Help: "Time that authorization servers took, by what they said (allowed, denied) or failed to.", Buckets: durationBuckets,
	}, []string{"direction", "server", "outcome"})
	registry.MustRegister(authorized)
	return &Counters{
		authorized: authorized,
		opened:     vec("leno_connections_opened_total", "Connections accepted.", "direction"),
		closed:     vec("leno_connections_closed_total", "Connections that have ended.", "direction"),
		verdicts:   vec("leno_detections_total", "What the first bytes of connections looked like.", "direction", "verdict"),
		waited:     vec("leno_detection_wait_seconds_total", "Time spent waiting for first bytes.", "direction", "verdict"),
		refused:    vec("leno_connections_refused_total", "Connections refused by policy, or because their peer proved no identity.", "direction", "reason"),
		floods:     vec("leno_http2_floods_total", "HTTP/2 connections that a defence ended: floods, slow peers, PING without answer; and streams (stalled_stream) whose peer kept its window closed.", "side", "reason"),
		Datagrams:  newDatagrams(registry, vec),
	}
}

// Opened counts an accepted connection; call the returned function when it has ended.
func (c *Counters) Opened(d Direction) (closed func()) {
	c.opened.WithLabelValues(string(d)).Inc()
	return c.closed.WithLabelValues(string(d)).Inc
}

// Detected counts a verdict and the time it took.
func (c *Counters) Detected(d Direction, verdict string, waited time.Duration) {
	c.verdicts.WithLabelValues(string(d), verdict).Inc()
	c.waited.WithLabelValues(string(d), verdict).Add(waited.Seconds())
}

// Refused counts a connection that was closed on purpose.
func (c *Counters) Refused(d Direction, reason string) {
	c.refused.WithLabelValues(string(d), reason).Inc()
}

// Flooded counts an HTTP/2 connection that a defence ended; side is a direction for clients, "upstream" for backends.
func (c *Counters) Flooded(side, reason string) { c.floods.WithLabelValues(side, reason).Inc() }

// Authorized counts a question to an authorization server, which is one of those that routes name.
func (c *Counters) Authorized(d Direction, server, outcome string, took time.Duration) {
	c.authorized.WithLabelValues(string(d), server, outcome).Observe(took.Seconds())
}

// RegisterHealth adds the proxy's own state, and that of its process.
func RegisterHealth(registry prometheus.Registerer, h Health) {
	gauge := func(name, help string, value func() float64) {
		registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	truth := func(f func() bool) func() float64 {
		return func() float64 {
			if f() {
				return 1
			}
			return 0
		}
	}
	gauge("leno_certificate_expiry_timestamp_seconds", "End of the workload certificate's validity, in Unix time; 0: none yet.", func() float64 {
		if notAfter, ok := h.CertificateExpiry(); ok {
			return float64(notAfter.Unix())
		}
		return 0
	})
	gauge("leno_ready", "1 when certificate and configuration are there.", truth(h.Ready))
	gauge("leno_xds_connected", "1 while connected to the control plane.", truth(h.Connected))
	count := func(name, help string, value func() int64) {
		registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(value()) }))
	}
	count("leno_xds_nacks_total", "Resources of the control plane that were refused.", h.Refused)
	count("leno_access_log_dropped_total", "Lines of the access log that were lost.", h.DroppedLogLines)
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
}
