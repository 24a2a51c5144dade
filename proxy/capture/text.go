package capture

import (
	"fmt"
	"strings"
)

// String is the table in the language of nft(8), in a form that `nft -f` takes.
func (t Table) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "table inet %s {\n", t.Name)
	for i, chain := range t.Chains {
		if i > 0 {
			out.WriteByte('\n')
		}
		priority := "dstnat"
		if chain.Hook == Output {
			priority = "-100" // the same number: nft has the name for prerouting only
		}
		fmt.Fprintf(&out, "\tchain %s {\n\t\ttype nat hook %s priority %s; policy accept;\n", chain.Name, chain.Hook, priority)
		for _, rule := range chain.Rules {
			fmt.Fprintf(&out, "\t\t%s\n", rule.text(chain.Hook))
		}
		out.WriteString("\t}\n")
	}
	out.WriteString("}\n")
	return out.String()
}

func (r Rule) text(hook Hook) string {
	var parts []string
	if r.UID != 0 {
		parts = append(parts, fmt.Sprintf("meta skuid %d", r.UID))
	}
	if r.Interface != "" {
		direction := "oifname"
		if hook == Prerouting {
			direction = "iifname"
		}
		parts = append(parts, fmt.Sprintf("%s %q", direction, r.Interface))
	}
	if r.To.IsValid() {
		family := "ip"
		if r.To.Addr().Is6() {
			family = "ip6"
		}
		to := r.To.String()
		if r.To.IsSingleIP() {
			to = r.To.Addr().String()
		}
		parts = append(parts, fmt.Sprintf("%s daddr %s", family, to))
	}
	if r.Port != 0 {
		parts = append(parts, fmt.Sprintf("tcp dport %d", r.Port))
	} else if r.Redirect != 0 {
		parts = append(parts, "meta l4proto tcp")
	}
	if r.Redirect != 0 {
		parts = append(parts, fmt.Sprintf("redirect to :%d", r.Redirect))
	} else {
		parts = append(parts, "return")
	}
	return strings.Join(append(parts, fmt.Sprintf("comment %q", r.Why)), " ")
}
