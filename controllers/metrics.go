package controllers

import (
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/leno-mesh/leno/internal/pipeline"
	"github.com/leno-mesh/leno/internal/xds/server"
)

//+kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create

// metricsOptions serves metrics over TLS to whoever may get the path /metrics by the cluster's RBAC; address "0" is off.
func metricsOptions(address string, serving func() (*tls.Certificate, error)) metricsserver.Options {
	return metricsserver.Options{
		BindAddress:    address,
		SecureServing:  true,
		FilterProvider: filters.WithAuthenticationAndAuthorization,
		TLSOpts:        []func(*tls.Config){servingTLS(serving)},
	}
}

// servingTLS asks for the certificate at each handshake, so that renewal needs no restart.
func servingTLS(serving func() (*tls.Certificate, error)) func(*tls.Config) {
	return func(c *tls.Config) {
		c.MinVersion = tls.VersionTLS13
		c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return serving() }
	}
}

var (
	batches = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "leno_pipeline_batch_seconds",
		Help:    "Time to turn a batch of news into a mesh; full is false when only endpoints changed.",
		Buckets: []float64{.0001, .0005, .001, .005, .01, .05, .1, .5, 1},
	}, []string{"full"})
	events = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "leno_pipeline_events_total",
		Help: "News taken from the cluster, at most one per object and batch.",
	})
)

func observe(b pipeline.Batch) {
	full := "false"
	if b.Full {
		full = "true"
	}
	batches.WithLabelValues(full).Observe(b.Duration.Seconds())
	events.Add(float64(b.Events))
}

// register puts the mesh's own metrics beside those of controller-runtime. The registry is the process's: where it holds
// several managers, the first one is measured.
func register(ads *server.Server, several bool) error {
	counter := func(name, help string, value func(server.Stats) uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help},
			func() float64 { return float64(value(ads.Stats())) })
	}
	for _, c := range []prometheus.Collector{
		batches, events,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "leno_xds_streams", Help: "Proxies connected to this replica."},
			func() float64 { return float64(ads.Stats().Streams) }),
		counter("leno_xds_responses_total", "Responses sent to proxies.", func(s server.Stats) uint64 { return s.Responses }),
		counter("leno_xds_bytes_total", "Bytes of resources sent to proxies.", func(s server.Stats) uint64 { return s.Bytes }),
		counter("leno_xds_acks_total", "Responses that proxies took.", func(s server.Stats) uint64 { return s.Acks }),
		counter("leno_xds_nacks_total", "Responses that proxies refused.", func(s server.Stats) uint64 { return s.Nacks }),
		counter("leno_xds_denied_total", "Streams refused for who they are.", func(s server.Stats) uint64 { return s.Denied }),
		counter("leno_xds_garbage_total", "Streams closed for what they asked.", func(s server.Stats) uint64 { return s.Garbage }),
		counter("leno_xds_slow_total", "Streams closed because they did not read.", func(s server.Stats) uint64 { return s.Slow }),
	} {
		err := ctrlmetrics.Registry.Register(c)
		if several && errors.As(err, new(prometheus.AlreadyRegisteredError)) {
			continue
		}
		if err != nil {
			return fmt.Errorf("metrics: %w", err)
		}
	}
	return nil
}
