//go:build unix && !linux

package runner

import "syscall"

// attributes give the child a group of its own, out of reach of the terminal's Ctrl-C.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
