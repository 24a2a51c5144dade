package runner

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/leno-mesh/leno/internal/status"
)

// statusTable prints the conditions of routes as "kubectl get" would: one line per route and parent.
func statusTable(out io.Writer, wants []status.Want) {
	table := tabwriter.NewWriter(out, 0, 8, 3, ' ', 0)
	fmt.Fprintln(table, "NAMESPACE\tNAME\tPARENT\tACCEPTED\tRESOLVEDREFS\tREASON")
	for _, want := range wants {
		for _, line := range statusLines(want) {
			fmt.Fprintln(table, strings.Join(line, "\t"))
		}
	}
	table.Flush()
}

func statusLines(want status.Want) [][]string {
	if len(want.Parents) == 0 {
		return [][]string{{want.Name.Namespace, want.Name.Name, "-", "-", "-", "no parentRef of the mesh: attach it to a Service"}}
	}
	var lines [][]string
	for _, parent := range want.Parents {
		conditions := map[string]string{}
		var reasons []string
		for _, c := range parent.Conditions {
			conditions[c.Type] = condition(c.Status)
			if bad := !c.Status && (c.Type == "Accepted" || c.Type == "ResolvedRefs") || c.Status && c.Type == "PartiallyInvalid"; bad {
				reasons = append(reasons, c.Reason+": "+c.Message)
			}
		}
		lines = append(lines, []string{
			want.Name.Namespace, want.Name.Name, parentName(parent.Ref),
			conditions["Accepted"], conditions["ResolvedRefs"], strings.Join(reasons, "; "),
		})
	}
	return lines
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
