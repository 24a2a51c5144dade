// Package host is everything that touches the machine: network namespaces, cgroups, mounts, processes. What it makes
// it can find again without a record, by name or by path, so that a cluster can be removed after any crash.
package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

const netnsDir = "/run/netns"

// NetNSPath is the file that names a network namespace made by `ip netns add`.
func NetNSPath(name string) string { return filepath.Join(netnsDir, name) }

// NetNSExists tells whether the namespace is there.
func NetNSExists(name string) bool {
	_, err := os.Stat(NetNSPath(name))
	return err == nil
}

// NetNSWithPrefix lists the namespaces whose names begin with prefix.
func NetNSWithPrefix(prefix string) ([]string, error) {
	entries, err := os.ReadDir(netnsDir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list network namespaces: %w", err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// InNetNS runs f with the calling goroutine's thread inside the namespace; sockets opened by f belong to it for good.
// f must not start goroutines that open sockets.
func InNetNS(name string, f func() error) error {
	runtime.LockOSThread()
	self, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("own network namespace: %w", err)
	}
	defer self.Close()
	if err := setns(NetNSPath(name)); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter network namespace %s (is the cluster up?): %w", name, err)
	}
	err = f()
	if back := unix.Setns(int(self.Fd()), unix.CLONE_NEWNET); back != nil {
		// The thread stays locked and so dies with this goroutine: nobody else ever runs in the wrong namespace.
		return errors.Join(err, fmt.Errorf("leave network namespace %s: %w", name, back))
	}
	runtime.UnlockOSThread()
	return err
}

// Dialer returns a DialContext for clients outside that talk to addresses inside the namespace. Addresses must be
// literal: names would be resolved outside.
func Dialer(name string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		err = InNetNS(name, func() error {
			conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
			return err
		})
		return conn, err
	}
}

// SetSysctls writes values below /proc/sys inside the namespace.
func SetSysctls(netns string, values [][2]string) error {
	return InNetNS(netns, func() error {
		for _, kv := range values {
			if err := os.WriteFile("/proc/sys/"+kv[0], []byte(kv[1]), 0o644); err != nil {
				return fmt.Errorf("sysctl %s=%s: %w", kv[0], kv[1], err)
			}
		}
		return nil
	})
}

func setns(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Setns(int(f.Fd()), unix.CLONE_NEWNET)
}

// HasIPv6 tells whether the kernel speaks IPv6.
func HasIPv6() bool {
	_, err := os.Stat("/proc/net/if_inet6")
	return err == nil
}
