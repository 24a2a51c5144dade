package runner

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/leno-mesh/leno/internal/status"
)

// statusTable prints the conditions of objects as "kubectl get" would: one line per route and parent, and one per Gateway and set of
// listeners, with what is wrong with each listener.
func statusTable(out io.Writer, wants []status.Want) {
	table := tabwriter.NewWriter(out, 0, 8, 3, ' ', 0)
	fmt.Fprintln(table, "NAMESPACE\tKIND\tNAME\tPARENT\tACCEPTED\tRESOLVEDREFS\tREASON")
	for _, want := range wants {
		for _, line := range statusLines(want) {
			fmt.Fprintln(table, strings.Join(line, "\t"))
		}
	}
	table.Flush()
}

func statusLines(want status.Want) [][]string {
	switch want.Kind {
	case "GatewayClass":
		return nil
	case "Gateway", "ListenerSet":
		values, reasons := read(want.Conditions)
		for _, l := range want.Listeners {
			_, wrong := read(l.Conditions)
			for _, reason := range wrong {
				reasons = append(reasons, "listener "+l.Name+": "+reason)
			}
		}
		return [][]string{{want.Name.Namespace, want.Kind, want.Name.Name, "-", values[status.TypeAccepted], cmp.Or(values[status.TypeResolvedRefs], "-"), strings.Join(reasons, "; ")}}
	}
	if len(want.Parents) == 0 && strings.HasSuffix(want.Kind, "Route") {
		return [][]string{{want.Name.Namespace, want.Kind, want.Name.Name, "-", "-", "-", "no parentRef of the mesh: attach it to a Service or a Gateway"}}
	}
	var lines [][]string
	for _, parent := range want.Parents {
		values, reasons := read(parent.Conditions)
		lines = append(lines, []string{
			want.Name.Namespace, want.Kind, want.Name.Name, parentName(parent.Ref),
			values[status.TypeAccepted], values[status.TypeResolvedRefs], strings.Join(reasons, "; "),
		})
	}
	return lines
}

// read gives the values of conditions by type, and the reasons of those that are not as they should be.
func read(conditions []status.Condition) (values map[string]string, reasons []string) {
	values = map[string]string{}
	for _, c := range conditions {
		values[c.Type] = condition(c.Status)
		good := c.Type != status.TypePartiallyInvalid && c.Type != status.TypeConflicted && c.Type != status.TypeInsecureFallback && c.Type != status.TypeUnknownFields
		if c.Status != good {
			reasons = append(reasons, c.Reason+": "+c.Message)
		}
	}
	return values, reasons
}

func condition(status bool) string {
	if status {
		return "True"
	}
	return "False"
}

func parentName(ref status.ParentRef) string {
	name := ref.Kind + "/" + ref.Name
	if ref.Kind == "" {
		name = "Gateway/" + ref.Name
	}
	if ref.Port != 0 {
		name += fmt.Sprintf(":%d", ref.Port)
	}
	return name
}

// changedStatus is what is in after and not in before.
func changedStatus(before, after []status.Want) []status.Want {
	old := map[string]string{}
	for _, want := range before {
		old[want.Kind+want.Name.String()] = fmt.Sprint(statusLines(want))
	}
	return slices.DeleteFunc(slices.Clone(after), func(want status.Want) bool {
		return old[want.Kind+want.Name.String()] == fmt.Sprint(statusLines(want))
	})
}
