package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Drop says why a datagram went no further.
type Drop uint8

// The reasons.
const (
	DropSessions    Drop = iota // as many sessions as may be
	DropNoEndpoints             // no endpoint is ready
	DropConnect                 // no socket to an endpoint could be had
	DropBuffer                  // the endpoint's socket was full
	DropTooLarge                // for the path to the endpoint
	DropReply                   // the client could not be sent to
	drops
)

// String is the reason's name in metrics.
func (d Drop) String() string {
	return [...]string{"sessions", "no_endpoints", "connect", "buffer", "too_large", "reply"}[d]
}

// Datagrams counts datagrams. The handles are made once: counting neither formats nor allocates.
type Datagrams struct {
	toServer, toClient datagramFlow
	dropped            [drops]prometheus.Counter
	sessions           prometheus.Gauge
}

type datagramFlow struct{ datagrams, bytes prometheus.Counter }

func newDatagrams(registry prometheus.Registerer, vec func(name, help string, labels ...string) *prometheus.CounterVec) *Datagrams {
	datagrams := vec("leno_udp_datagrams_total", "Datagrams relayed.", "to")
	bytes := vec("leno_udp_bytes_total", "Bytes in relayed datagrams.", "to")
	flow := func(to string) datagramFlow {
		return datagramFlow{datagrams.WithLabelValues(to), bytes.WithLabelValues(to)}
	}
	d := &Datagrams{toServer: flow("server"), toClient: flow("client"), sessions: prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "leno_udp_sessions", Help: "Sessions of datagrams that go on.",
	})}
	registry.MustRegister(d.sessions)
	dropped := vec("leno_udp_dropped_total", "Datagrams that were not relayed.", "reason")
	for reason := range drops {
		d.dropped[reason] = dropped.WithLabelValues(reason.String())
	}
	return d
}

// ToServer counts a datagram of n bytes from a client.
func (d *Datagrams) ToServer(n int) { d.toServer.count(n) }

// ToClient counts a datagram of n bytes from an endpoint.
func (d *Datagrams) ToClient(n int) { d.toClient.count(n) }

func (f *datagramFlow) count(n int) {
	f.datagrams.Inc()
	f.bytes.Add(float64(n))
}

// Dropped counts a datagram that went no further.
func (d *Datagrams) Dropped(why Drop) { d.dropped[why].Inc() }

// Sessions counts one more (1) or one less (-1).
func (d *Datagrams) Sessions(change int) { d.sessions.Add(float64(change)) }
