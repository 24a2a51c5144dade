package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// References names what a table sends requests to: the clusters of backends, mirrors and authorization servers, sorted, each once.
func (t *RouteTable) References() []string {
	var names []string
	mirrors := func(list []Mirror) {
		for _, m := range list {
			names = append(names, m.Cluster)
		}
	}
	for _, h := range t.Hosts {
		for _, a := range h.Filters {
			names = append(names, a.Cluster)
		}
	}
	for _, e := range t.Entries {
		mirrors(e.Action.Mirrors)
		if a := e.Action.ExternalAuth; a != nil {
			names = append(names, a.Cluster)
		}
		for _, b := range e.Action.Backends {
			if b.Fail == nil {
				names = append(names, b.Cluster)
			}
			mirrors(b.Mirrors)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Check tells whether everything that a configuration refers to is in it.
func Check(c *Config) error {
	var errs []error
	for dst, l := range c.Outbound {
		if l == nil {
			continue
		}
		for _, name := range l.References() {
			if c.Clusters[name] == nil {
				errs = append(errs, fmt.Errorf("listener for %v refers to cluster %q, which is not there", dst, name))
			}
		}
		if l.Routes != "" && c.Routes[l.Routes] == nil {
			errs = append(errs, fmt.Errorf("listener for %v refers to routes %q, which are not there", dst, l.Routes))
		}
	}
	for number, p := range c.Ports {
		for _, name := range p.References() {
			if c.Clusters[name] == nil {
				errs = append(errs, fmt.Errorf("port %d refers to cluster %q, which is not there", number, name))
			}
		}
		for _, name := range p.Tables() {
			if c.Routes[name] == nil {
				errs = append(errs, fmt.Errorf("port %d refers to routes %q, which are not there", number, name))
			}
		}
	}
	for at, d := range c.Datagrams {
		for _, name := range d.References() {
			if c.Clusters[name] == nil {
				errs = append(errs, fmt.Errorf("datagrams at %v refer to cluster %q, which is not there", at, name))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Routes)) {
		for _, cluster := range c.Routes[name].References() {
			if c.Clusters[cluster] == nil {
				errs = append(errs, fmt.Errorf("routes %q refer to cluster %q, which is not there", name, cluster))
			}
		}
	}
	return errors.Join(errs...)
}
