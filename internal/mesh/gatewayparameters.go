package mesh

// Parameters are what GatewayParameters say of a Gateway: its own and, where those are silent, those of its class. What is left out
// has a default, or is left to whoever sets it in the cluster.
type Parameters struct {
	Replicas *int32
	// MinAvailable is how many proxies must stay while nodes are drained: a number, or a part like "80%"; "" lets one at a time go.
	MinAvailable string
	// Resources of each proxy; nil: the default.
	Resources *Resources
	// ServiceType is LoadBalancer, NodePort or ClusterIP; "": LoadBalancer.
	ServiceType string
	// ServiceLabels and ServiceAnnotations go onto the Service alone, and win over those of all objects.
	ServiceLabels      map[string]string
	ServiceAnnotations map[string]string
	// NodeSelector and Tolerations say on which nodes proxies may run.
	NodeSelector map[string]string
	Tolerations  []Toleration
}

// Resources are what a container may use, by name of the resource. Amounts are quantities of Kubernetes in canonical form, like "100m".
type Resources struct {
	Requests map[string]string
	Limits   map[string]string
}

// Toleration lets a proxy run on nodes with a taint, with the words of Kubernetes.
type Toleration struct {
	Key      string
	Operator string // Exists or Equal; "" is Equal
	Value    string
	Effect   string // "" is any
	// Seconds is how long a taint is tolerated that puts pods out; nil: for ever.
	Seconds *int64
}
