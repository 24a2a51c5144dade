package xdsclient

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/leno-mesh/leno/proxy/config"
)

// The cache file is one DeltaDiscoveryResponse with resources of several types, as they were received. Secrets are left
// out: the trust bundle is mounted into the pod, where nothing that runs beside the proxy can change it.

// maxCacheFile bounds what a broken file can cost.
const maxCacheFile = 64 << 20

// store replaces the file as a whole: a reader sees the old one or the new one.
func store(file string, resources []resource) error {
	tmp, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return fmt.Errorf("store configuration: %w", err)
	}
	defer os.Remove(tmp.Name()) // fails after the rename, as it should
	_, err = tmp.Write(response{Resources: resources}.marshal())
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("store configuration: %w", err)
	}
	if err := os.Rename(tmp.Name(), file); err != nil {
		return fmt.Errorf("store configuration: %w", err)
	}
	return nil
}

// load reads what store wrote; nothing when there is no file.
func load(file string) ([]resource, error) {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load configuration: %w", err)
	}
	if info.Size() > maxCacheFile {
		return nil, fmt.Errorf("load configuration: %s has %d bytes, more than %d", file, info.Size(), maxCacheFile)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("load configuration: %w", err)
	}
	r, err := parseResponse(b)
	if err != nil {
		return nil, fmt.Errorf("load configuration from %s: %w", file, err)
	}
	return r.Resources, nil
}

// resources lists what is held, in a fixed order, without secrets.
func (m *machine) resources() []resource {
	var list []resource
	for _, t := range typeOrder {
		if t == config.SecretType {
			continue
		}
		h := m.types[t].held
		for _, name := range slices.Sorted(maps.Keys(h)) {
			if h[name].has() {
				list = append(list, h[name].resource)
			}
		}
	}
	return list
}

// restore takes resources as if they had been received, and wants their destinations. What cannot be used is left out and
// told in the error.
func (m *machine) restore(resources []resource) error {
	var errs []error
	for _, res := range resources {
		h := m.types[res.Type]
		if h == nil || res.Type == config.SecretType || h.held[res.Name] != nil {
			continue
		}
		value, err := config.Decode(res.Type, res.Name, res.Version, res.Body)
		if err != nil || res.Version == "" {
			errs = append(errs, err)
			continue
		}
		h.held[res.Name] = &held{resource: res, value: value}
		if rest, ok := strings.CutPrefix(res.Name, config.OutboundPrefix); ok && len(m.wanted) < maxDestinations {
			if dst, err := netip.ParseAddrPort(rest); err == nil {
				m.note(config.Destination(dst))
			}
		}
	}
	m.settle()
	return errors.Join(errs...)
}
