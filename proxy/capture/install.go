package capture

import (
	"errors"
	"fmt"
	"io/fs"
)

// Installer is where a table goes. Apply replaces the table of the same name in one step; Read gives it back.
type Installer interface {
	Apply(Table) error
	Read(name string) (Table, error)
}

// ErrNoTable says that there is no such table.
var ErrNoTable = errors.New("no such nftables table")

// Install applies the table and makes sure that it is what the kernel holds now.
func Install(where Installer, table Table) error {
	if err := where.Apply(table); err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("nftables: %w: the init container needs the capability NET_ADMIN (allow it in the namespace's pod security level, or use the CNI plugin)", err)
		}
		return fmt.Errorf("nftables: %w (is the kernel module nf_tables with NAT available?)", err)
	}
	got, err := where.Read(table.Name)
	if err != nil {
		return fmt.Errorf("nftables: read back: %w", err)
	}
	if got.String() != table.String() {
		return fmt.Errorf("nftables: the kernel holds other rules than were given; wanted:\n%sgot:\n%s", table, got)
	}
	return nil
}

// Memory is an Installer that keeps tables to itself.
type Memory map[string]Table

// Apply keeps the table.
func (m Memory) Apply(t Table) error {
	m[t.Name] = t
	return nil
}

// Read gives back what was applied.
func (m Memory) Read(name string) (Table, error) {
	t, ok := m[name]
	if !ok {
		return Table{}, ErrNoTable
	}
	return t, nil
}
