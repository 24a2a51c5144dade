package xds

import (
	"strings"
	"testing"
)

// FuzzNames: proxies choose the names that they subscribe to. One that is understood is the only name of its resource.
func FuzzNames(f *testing.F) {
	for _, name := range []string{"outbound/10.96.0.10:80", "outbound/[::1]:80", "outbound/[::ffff:10.0.0.1]:80", "shop/cart:80", "shop/cart:80@web", "shop/cart:080", "10.0.0.1:80", "@", "a/b:1@",
		"outbound/shop/*:443", "outbound/0.0.0.0:443", "refused/192.0.2.1:443/a.example", "refused/[::1]:80/"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if dst, ok := ParseListenerName(name); ok && ListenerName(dst) != name {
			t.Errorf("listener %q is called %q", name, ListenerName(dst))
		}
		if pod, ok := parsePodCluster(name); ok && PodClusterName(pod) != name {
			t.Errorf("cluster %q is called %q", name, PodClusterName(pod))
		}
		if sp, ok := parseCluster(name); ok && ClusterName(sp) != name {
			t.Errorf("cluster %q is called %q", name, ClusterName(sp))
		}
		if sp, consumer, ok := parseRoute(name); ok && RouteName(sp, consumer) != name {
			t.Errorf("routes %q are called %q", name, RouteName(sp, consumer))
		}
		if namespace, port, ok := parseRegisteredRoute(name); ok && RegisteredRouteName(namespace, port) != name {
			t.Errorf("routes %q are called %q", name, RegisteredRouteName(namespace, port))
		}
		if dst, host, ok := ParseRefusedName(name); ok && (RefusedName(dst, host) != name || len(host) > maxHost || strings.ContainsAny(host, "/: \n\x00")) {
			t.Errorf("refusal %q is called %q", name, RefusedName(dst, host))
		}
	})
}
