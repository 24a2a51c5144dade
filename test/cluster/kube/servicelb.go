package main

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"sort"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// runServiceLB gives each Service of type LoadBalancer an address per IP family from the pools. The pools are routed to the
// nodes, where kube-proxy translates; there is nothing else to program. Who asks for an address in spec.loadBalancerIP gets that one
// or none.
func runServiceLB() int {
	flags := flag.NewFlagSet("service-lb", flag.ExitOnError)
	kubeconfig := flags.String("kubeconfig", "", "path of a kubeconfig")
	pools := flags.String("pools", "", "comma-separated prefixes, one per IP family")
	_ = flags.Parse(os.Args[1:]) // exits by itself
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serveLB(ctx, *kubeconfig, *pools); err != nil {
		fmt.Fprintln(os.Stderr, "service-lb:", err)
		return 1
	}
	return 0
}

func serveLB(ctx context.Context, kubeconfig, pools string) error {
	prefixes, err := parsePools(pools)
	if err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("kubeconfig: %w", err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	factory := informers.NewSharedInformerFactory(client, 10*time.Minute)
	services := factory.Core().V1().Services()
	changed := make(chan struct{}, 1)
	note := func() {
		select {
		case changed <- struct{}{}:
		default: // a run is due already
		}
	}
	_, err = services.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { note() }, UpdateFunc: func(any, any) { note() }, DeleteFunc: func(any) { note() },
	})
	if err != nil {
		return fmt.Errorf("watch services: %w", err)
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
		if err := syncLB(ctx, client, prefixes); err != nil {
			fmt.Fprintln(os.Stderr, "service-lb:", err)
			time.AfterFunc(time.Second, note)
		}
	}
}

// syncLB asks the API server itself: a cache may not know yet of an address given a moment ago, which would be given again.
func syncLB(ctx context.Context, client kubernetes.Interface, pools []netip.Prefix) error {
	list, err := client.CoreV1().Services("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list services: %w", err)
	}
	all := make([]*corev1.Service, len(list.Items))
	for i := range list.Items {
		all[i] = &list.Items[i]
	}
	for _, want := range assign(all, pools) {
		_, err := client.CoreV1().Services(want.Namespace).UpdateStatus(ctx, want, metav1.UpdateOptions{})
		if err != nil {
			return fmt.Errorf("status of service %s/%s: %w", want.Namespace, want.Name, err)
		}
	}
	return nil
}

// assign returns the services whose status must change, with their new status. An address once given stays, until the service asks for
// another one.
func assign(all []*corev1.Service, pools []netip.Prefix) []*corev1.Service {
	sort.Slice(all, func(i, j int) bool {
		return all[i].Namespace+"/"+all[i].Name < all[j].Namespace+"/"+all[j].Name
	})
	used := map[string]bool{}
	for _, s := range all {
		if isOurs(s) && settled(s) || s.DeletionTimestamp != nil {
			for _, in := range s.Status.LoadBalancer.Ingress {
				used[in.IP] = true
			}
		}
	}
	var out []*corev1.Service
	for _, s := range all {
		if s.Spec.Type != corev1.ServiceTypeLoadBalancer && len(s.Status.LoadBalancer.Ingress) > 0 {
			s = s.DeepCopy()
			s.Status.LoadBalancer = corev1.LoadBalancerStatus{}
			out = append(out, s)
			continue
		}
		if !isOurs(s) || settled(s) {
			continue
		}
		had := len(s.Status.LoadBalancer.Ingress) > 0
		s = s.DeepCopy()
		s.Status.LoadBalancer.Ingress = nil
		for _, family := range s.Spec.IPFamilies {
			ip := pick(pools, family, s.Spec.LoadBalancerIP, used)
			if ip == "" {
				continue
			}
			used[ip] = true
			mode := corev1.LoadBalancerIPModeVIP
			s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: ip, IPMode: &mode})
		}
		if had || len(s.Status.LoadBalancer.Ingress) > 0 {
			out = append(out, s)
		}
	}
	return out
}

// settled says that a service has an address, and the one that it asks for if it asks.
func settled(s *corev1.Service) bool {
	wanted, err := netip.ParseAddr(s.Spec.LoadBalancerIP)
	if err != nil {
		return len(s.Status.LoadBalancer.Ingress) > 0
	}
	return slices.ContainsFunc(s.Status.LoadBalancer.Ingress, func(in corev1.LoadBalancerIngress) bool { return in.IP == wanted.String() })
}

func isOurs(s *corev1.Service) bool {
	return s.Spec.Type == corev1.ServiceTypeLoadBalancer && s.Spec.LoadBalancerClass == nil && s.DeletionTimestamp == nil
}

func pick(pools []netip.Prefix, family corev1.IPFamily, wanted string, used map[string]bool) string {
	for _, pool := range pools {
		if pool.Addr().Is6() != (family == corev1.IPv6Protocol) {
			continue
		}
		if ip, err := netip.ParseAddr(wanted); err == nil && ip.Is6() == pool.Addr().Is6() {
			if !pool.Contains(ip) || used[ip.String()] {
				return ""
			}
			return ip.String()
		}
		// The first address names the network, the last one of IPv4 is its broadcast.
		for ip := pool.Addr().Next(); pool.Contains(ip) && pool.Contains(ip.Next()); ip = ip.Next() {
			if !used[ip.String()] {
				return ip.String()
			}
		}
	}
	return ""
}

func parsePools(list string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for part := range strings.SplitSeq(list, ",") {
		p, err := netip.ParsePrefix(part)
		if err != nil {
			return nil, fmt.Errorf("--pools %q: %w", list, err)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}
