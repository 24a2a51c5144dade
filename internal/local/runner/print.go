package runner

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/leno-mesh/leno/internal/local"
	"github.com/leno-mesh/leno/internal/local/manifest"
	"github.com/leno-mesh/leno/internal/status"
)

// printer writes whole lines, whoever they come from.
type printer struct {
	mu  sync.Mutex // guards out
	out io.Writer
}

func (p *printer) write(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = io.WriteString(p.out, text) // nobody is left to tell
}

// line is news of the run itself.
func (p *printer) line(format string, args ...any) {
	p.write("leno: " + fmt.Sprintf(format, args...) + "\n")
}

// logLine is what a child said.
func (p *printer) logLine(source, line string) {
	p.write(fmt.Sprintf("%-28s | %s\n", source, line))
}

func (p *printer) problems(problems []manifest.Problem) {
	var out strings.Builder
	for _, problem := range problems {
		fmt.Fprintln(&out, problem)
	}
	p.write(out.String())
}

func (p *printer) status(wants []status.Want) {
	var out bytes.Buffer
	out.WriteString("\n")
	statusTable(&out, wants)
	out.WriteString("\n")
	p.write(out.String())
}

func (p *printer) overview(plan *local.Plan, paths []string) {
	var out bytes.Buffer
	overview(&out, plan, paths)
	p.write(out.String())
}

// overview says what runs, where it is found, and what to try.
func overview(out io.Writer, plan *local.Plan, paths []string) {
	fmt.Fprintf(out, "\nThe mesh is up: %d pods, each with a sidecar of its own.\n\n", len(plan.Pods))
	table := tabwriter.NewWriter(out, 0, 8, 3, ' ', 0)
	fmt.Fprintln(table, "NAMESPACE\tSERVICE\tADDRESS\tPODS")
	example := ""
	for _, s := range plan.Services {
		for _, port := range s.Ports {
			address := "none (headless)"
			if s.IP.IsValid() {
				address = "http://" + s.Address(port, plan.Options).String()
				if example == "" || s.Name.Name == "frontend" {
					example = address
				}
			}
			fmt.Fprintf(table, "%s\t%s:%d\t%s\t%s\n", s.Namespace, s.Name.Name, port, address, strings.Join(podsBehind(plan, s), " "))
		}
	}
	table.Flush()
	gateways(out, plan)
	if plan.Options.LowestPort > 1 {
		fmt.Fprintf(out, "\nPorts below %d may not be bound by this user: they are served 8000 higher.\n", plan.Options.LowestPort)
	}
	if example != "" {
		fmt.Fprintf(out, "\nTry it, as the pod %q of the namespace:\n\n    curl %s/\n", local.You, strings.TrimSuffix(example, ":80"))
	}
	fmt.Fprintf(out, "\nEdit a manifest in %s and save it: traffic follows. Ctrl-C ends everything.\n\n", strings.Join(paths, ", "))
}

// gateways says where clients from outside find what.
func gateways(out io.Writer, plan *local.Plan) {
	if len(plan.Gateways) == 0 {
		return
	}
	fmt.Fprintln(out)
	table := tabwriter.NewWriter(out, 0, 8, 3, ' ', 0)
	fmt.Fprintln(table, "NAMESPACE\tGATEWAY\tADDRESS")
	for _, g := range plan.Gateways {
		for _, port := range g.Ports {
			fmt.Fprintf(table, "%s\t%s:%d\t%s://%s\n", g.Namespace, g.Name.Name, port.Number, strings.ToLower(string(port.Protocol)), g.Address(port, plan.Options))
		}
	}
	table.Flush()
}

func podsBehind(plan *local.Plan, s *local.Service) []string {
	var names []string
	for _, pod := range plan.Pods {
		if s.Selects(pod) {
			names = append(names, pod.Name.Name)
		}
	}
	return names
}
