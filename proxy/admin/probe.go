package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/leno-mesh/leno/internal/mesh"
)

// maxProbeBody bounds what of an answer is passed on to the kubelet, which shows it in events.
const maxProbeBody = 1 << 10

// maxRedirects is how many redirects to the same host are followed, as the kubelet does.
const maxRedirects = 10

// Prober does the probes of the pod's containers, as the kubelet would have.
type Prober struct {
	Probes []mesh.Probe
	// Address is the pod's own address.
	Address netip.Addr
	// Dial makes connections to the pod's own ports.
	Dial func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
}

func (p Prober) serve(w http.ResponseWriter, r *http.Request, container string, kind mesh.ProbeKind) {
	for i := range p.Probes {
		probe := &p.Probes[i]
		if probe.Container != container || probe.Kind != kind {
			continue
		}
		timeout := time.Duration(max(probe.TimeoutSeconds, 1)) * time.Second
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		text, err := p.do(ctx, probe, r.UserAgent())
		if err != nil {
			http.Error(w, fmt.Sprintf("probe %s of container %s: %v", kind, container, err), http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, text)
		return
	}
	http.Error(w, fmt.Sprintf("container %.63q has no %.20q probe here", container, kind), http.StatusNotFound)
}

// do probes; the text is what a success answers.
func (p Prober) do(ctx context.Context, probe *mesh.Probe, agent string) (string, error) {
	switch {
	case probe.HTTP != nil:
		return p.http(ctx, probe.HTTP, agent)
	case probe.TCP != nil:
		conn, err := p.Dial(ctx, netip.AddrPortFrom(p.Address, probe.TCP.Port))
		if err != nil {
			return "", err
		}
		return "connected\n", conn.Close()
	case probe.GRPC != nil:
		return p.grpc(ctx, probe.GRPC)
	default:
		return "", errors.New("has no definition")
	}
}

func (p Prober) http(ctx context.Context, probe *mesh.HTTPProbe, agent string) (string, error) {
	scheme := "http"
	if strings.EqualFold(probe.Scheme, "HTTPS") {
		scheme = "https"
	}
	to := netip.AddrPortFrom(p.Address, probe.Port)
	path := "/" + strings.TrimPrefix(probe.Path, "/")
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+to.String()+path, nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("User-Agent", agent)
	request.Header.Set("Accept", "*/*")
	for _, h := range probe.Headers {
		if strings.EqualFold(h.Name, "Host") {
			request.Host = h.Value
		}
		request.Header.Set(h.Name, h.Value)
	}
	client := http.Client{
		Transport: &http.Transport{
			DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return p.Dial(ctx, to) },
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // as the kubelet: a probe is not about trust
			DisableKeepAlives: true,
			Proxy:             nil,
		},
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			if next.URL.Host != via[0].URL.Host || len(via) >= maxRedirects {
				return http.ErrUseLastResponse // a redirect is a success
			}
			return nil
		},
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(response.Body, maxProbeBody)) // the status decides
	if response.StatusCode < 200 || response.StatusCode >= 400 {
		return "", fmt.Errorf("answered %s: %s", response.Status, body)
	}
	return string(body), nil
}

func (p Prober) grpc(ctx context.Context, probe *mesh.GRPCProbe) (string, error) {
	to := netip.AddrPortFrom(p.Address, probe.Port)
	conn, err := grpc.NewClient("passthrough:///"+to.String(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return p.Dial(ctx, to) }))
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	request := &grpc_health_v1.HealthCheckRequest{}
	if probe.Service != nil {
		request.Service = *probe.Service
	}
	answer, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, request)
	switch {
	case status.Code(err) == codes.Unimplemented:
		return "", errors.New("the server does not implement grpc.health.v1.Health")
	case err != nil:
		return "", err
	case answer.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING:
		return "", fmt.Errorf("health is %s", answer.GetStatus())
	}
	return "SERVING\n", nil
}
