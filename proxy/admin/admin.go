// Package admin is what a proxy tells about itself over HTTP: one handler for the pod's loopback, for people who debug, and
// one for the network, for the kubelet and Prometheus.
package admin

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/proxy/config"
)

// Options are where the answers come from. Functions are called for each request and must be safe for concurrent use.
type Options struct {
	// Ready tells whether traffic may come, and if not, what is missing.
	Ready func() (ready bool, reason string)
	// Config is the configuration in effect; it holds no secrets.
	Config       func() *config.Config
	Certificates func() []Certificate
	// ControlPlane describes the connection to it; anything that encodes as JSON.
	ControlPlane func() any
	Level        *slog.LevelVar
	// AccessLog turns the access log on or off until the next start; nil gives back the mesh's setting.
	AccessLog func(on *bool)
	Metrics   http.Handler
	Probes    Prober
}

// Certificate is what may be shown of a certificate.
type Certificate struct {
	Use       string    `json:"use"` // "workload" or "root"
	ID        string    `json:"id,omitempty"`
	Subject   string    `json:"subject,omitempty"`
	Serial    string    `json:"serial"`
	NotBefore time.Time `json:"notBefore"`
	NotAfter  time.Time `json:"notAfter"`
	Renewal   time.Time `json:"renewal,omitzero"`
	LastError string    `json:"lastError,omitempty"`
}

// Local is the handler for the pod's loopback. It can change the log level, so it is for no other address.
func Local(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", o.ready)
	mux.HandleFunc("GET /config_dump", func(w http.ResponseWriter, _ *http.Request) { answer(w, o.Config()) })
	mux.HandleFunc("GET /certs", func(w http.ResponseWriter, _ *http.Request) { answer(w, o.Certificates()) })
	mux.HandleFunc("GET /control_plane", func(w http.ResponseWriter, _ *http.Request) { answer(w, o.ControlPlane()) })
	mux.HandleFunc("/logging", o.logging)
	mux.Handle("GET /metrics", o.Metrics)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, "/ready\n/config_dump\n/certs\n/control_plane\n/logging?level=debug|info|warn|error&access=on|off|mesh\n/metrics\n/debug/pprof/")
	})
	return mux
}

// Health is the handler for the network.
func Health(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", o.ready)
	mux.HandleFunc("GET /live", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "live") })
	mux.Handle("GET /metrics", o.Metrics)
	mux.HandleFunc("GET /probe/{container}/{kind}", func(w http.ResponseWriter, r *http.Request) {
		o.Probes.serve(w, r, r.PathValue("container"), mesh.ProbeKind(r.PathValue("kind")))
	})
	return mux
}

func (o Options) ready(w http.ResponseWriter, _ *http.Request) {
	ready, reason := o.Ready()
	if !ready {
		http.Error(w, "not ready: "+reason, http.StatusServiceUnavailable)
		return
	}
	_, _ = fmt.Fprintln(w, "ready")
}

// logging shows the level, and changes it for POST and PUT, or for whoever types the address with a level.
func (o Options) logging(w http.ResponseWriter, r *http.Request) {
	if text := r.FormValue("level"); text != "" {
		var level slog.Level
		if err := level.UnmarshalText([]byte(text)); err != nil {
			http.Error(w, fmt.Sprintf("level %.20q: use debug, info, warn or error", text), http.StatusBadRequest)
			return
		}
		o.Level.Set(level)
	}
	switch access := r.FormValue("access"); access {
	case "":
	case "on", "off":
		on := access == "on"
		o.AccessLog(&on)
	case "mesh":
		o.AccessLog(nil)
	default:
		http.Error(w, fmt.Sprintf("access %.20q: use on, off or mesh (as the Mesh resource says)", access), http.StatusBadRequest)
		return
	}
	_, _ = fmt.Fprintln(w, "level:", o.Level.Level())
}

func answer(w http.ResponseWriter, value any) {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		http.Error(w, "encode: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(text, '\n'))
}

// Server is an http.Server with limits for a handler of this package.
func Server(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
