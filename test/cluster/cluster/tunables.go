package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// tunables are the machine's settings that a kubelet changes at its start and that no namespace keeps to itself.
var tunables = []string{
	"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
	"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
}

func (h Harness) tunablesFile() string { return filepath.Join(h.Root, "tunables.json") }

// keepTunables notes the values before the first cluster's first kubelet.
func (h Harness) keepTunables() error {
	if _, err := os.Stat(h.tunablesFile()); err == nil {
		return nil
	}
	values := map[string]string{}
	for _, name := range tunables {
		if raw, err := os.ReadFile("/proc/sys/" + name); err == nil {
			values[name] = string(raw)
		}
	}
	raw, err := json.MarshalIndent(values, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(h.tunablesFile(), raw, 0o644)
}

// lastOneOut puts the values back once no cluster is left.
func (h Harness) lastOneOut() error {
	left, err := filepath.Glob(filepath.Join(h.Root, "*", "cluster.json"))
	if err != nil || len(left) > 0 {
		return err
	}
	raw, err := os.ReadFile(h.tunablesFile())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var values map[string]string
	if err == nil {
		err = json.Unmarshal(raw, &values)
	}
	if err != nil {
		return fmt.Errorf("kept kernel settings: %w", err)
	}
	for name, value := range values {
		if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0o644); err != nil {
			return fmt.Errorf("restore %s: %w", name, err)
		}
	}
	return remove(h.tunablesFile())
}
