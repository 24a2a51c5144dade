package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// MeshName is the name of the one Mesh of a cluster.
const MeshName = "default"

// Mesh holds the settings of the whole mesh. There is one per cluster, named "default"; the operator creates it with
// defaults when it is not there.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=leno
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Trust Domain",type=string,JSONPath=`.spec.trustDomain`
// +kubebuilder:printcolumn:name="mTLS",type=string,JSONPath=`.spec.mtls.mode`
// +kubebuilder:printcolumn:name="Outbound",type=string,JSONPath=`.spec.outbound.policy`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:validation:XValidation:rule="self.metadata.name == 'default'",message="a cluster has one Mesh and it is named \"default\": use that name"
type Mesh struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the mesh should be.
	// +kubebuilder:default={}
	// +optional
	Spec MeshSpec `json:"spec,omitempty"`
	// Status is what the operator found.
	// +optional
	Status MeshStatus `json:"status,omitempty"`
}

// MeshList is a list of Mesh.
//
// +kubebuilder:object:root=true
type MeshList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Mesh `json:"items"`
}

// MeshSpec is what the mesh should be. Every field has a default.
type MeshSpec struct {
	// TrustDomain is the first part of every identity: spiffe://<trust domain>/ns/<namespace>/sa/<service account>.
	// Changing it gives each workload a new identity when its certificate is renewed.
	// +kubebuilder:default="cluster.local"
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$')",message="a trust domain looks like a DNS name: lower-case letters, digits, dots, dashes and underscores, as in \"cluster.local\""
	// +optional
	TrustDomain string `json:"trustDomain,omitempty"`

	// MTLS says what the inbound side of sidecars accepts.
	// +kubebuilder:default={}
	// +optional
	MTLS MeshMTLS `json:"mtls,omitempty"`

	// Outbound says what sidecars do with connections to unknown addresses.
	// +kubebuilder:default={}
	// +optional
	Outbound MeshOutbound `json:"outbound,omitempty"`

	// IssuerRef names the cert-manager issuer that signs the certificates of workloads. Without it the operator makes
	// a CA of its own in leno-system. An Issuer must be in leno-system.
	// +optional
	IssuerRef *IssuerReference `json:"issuerRef,omitempty"`

	// Proxy is how sidecars are made.
	// +kubebuilder:default={}
	// +optional
	Proxy MeshProxy `json:"proxy,omitempty"`

	// Certificate is how the certificates of workloads are made.
	// +kubebuilder:default={}
	// +optional
	Certificate MeshCertificate `json:"certificate,omitempty"`
}

// MTLSMode says what an inbound listener accepts.
//
// +kubebuilder:validation:Enum=Permissive;Strict
type MTLSMode string

// The modes of mutual TLS.
const (
	// MTLSPermissive accepts mutual TLS from sidecars and plain text from everybody else.
	MTLSPermissive MTLSMode = "Permissive"
	// MTLSStrict accepts mutual TLS only.
	MTLSStrict MTLSMode = "Strict"
)

// MeshMTLS says what the inbound side of sidecars accepts.
type MeshMTLS struct {
	// Mode is Permissive or Strict.
	// +kubebuilder:default=Permissive
	// +optional
	Mode MTLSMode `json:"mode,omitempty"`
}

// OutboundPolicy says what happens to connections to addresses that no Service and no pod has.
//
// +kubebuilder:validation:Enum=Allow;Deny;RegistryOnly
type OutboundPolicy string

// The outbound policies.
const (
	// OutboundAllow passes such connections on untouched.
	OutboundAllow OutboundPolicy = "Allow"
	// OutboundDeny closes them: only Services and pods of the cluster can be reached.
	OutboundDeny OutboundPolicy = "Deny"
	// OutboundRegistryOnly closes them, but for those whose client names a host that an XBackend of the pod's own namespace registers:
	// they go to that host.
	OutboundRegistryOnly OutboundPolicy = "RegistryOnly"
)

// MeshOutbound says what sidecars do with connections to unknown addresses.
type MeshOutbound struct {
	// Policy is Allow (they pass as they are), Deny (they are closed) or RegistryOnly (they are closed, unless the TLS server name or
	// HTTP Host, and the port, are those of an XBackend of the pod's namespace: then they go to the host that it names).
	// +kubebuilder:default=Allow
	// +optional
	Policy OutboundPolicy `json:"policy,omitempty"`
}

// IssuerReference names a cert-manager issuer, or one of an external issuer's kinds.
//
// +kubebuilder:validation:XValidation:rule="self.group != 'cert-manager.io' || self.kind in ['Issuer', 'ClusterIssuer']",message="cert-manager.io has the kinds Issuer and ClusterIssuer: use one of them, or set group to that of the external issuer"
type IssuerReference struct {
	// Name of the issuer.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Kind of the issuer.
	// +kubebuilder:default=Issuer
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Kind string `json:"kind,omitempty"`
	// Group of the issuer.
	// +kubebuilder:default="cert-manager.io"
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Group string `json:"group,omitempty"`
}

// LogLevel is how much a proxy logs.
//
// +kubebuilder:validation:Enum=debug;info;warn;error
type LogLevel string

// MeshProxy is how sidecars are made. Changes apply to pods created afterwards, but for AccessLog, which applies at once.
type MeshProxy struct {
	// Image of the sidecar and of its init container.
	// +kubebuilder:default="leno-proxy:dev"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Image string `json:"image,omitempty"`

	// Resources of the sidecar; the annotations mesh.leno.dev/proxy-cpu and mesh.leno.dev/proxy-memory of a pod
	// replace the requests.
	// +kubebuilder:default={requests: {cpu: "10m", memory: "32Mi"}}
	// +optional
	Resources corev1.ResourceRequirements `json:"resources,omitempty"`

	// LogLevel of the sidecar; the annotation mesh.leno.dev/log-level of a pod replaces it.
	// +kubebuilder:default=info
	// +optional
	LogLevel LogLevel `json:"logLevel,omitempty"`

	// AccessLog writes one JSON line per request to the sidecar's log.
	// +optional
	AccessLog bool `json:"accessLog,omitempty"`
}

// MeshCertificate is how the certificates of workloads are made.
type MeshCertificate struct {
	// Lifetime of a workload's certificate. It is renewed when two thirds have passed, and never outlives its issuer.
	// +kubebuilder:default="24h"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1m') && duration(self) <= duration('720h')",message="the lifetime of a workload's certificate is between 1m and 720h (30 days), as in \"24h\""
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +optional
	Lifetime *metav1.Duration `json:"lifetime,omitempty"`
}

// MeshStatus is what the operator found.
type MeshStatus struct {
	// ObservedGeneration is the generation of the spec that the conditions are about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions say what is wrong and what to do: Accepted, GatewayAPIInstalled, CertManagerInstalled, IssuerReady,
	// InjectionReady and, as their summary, Ready.
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// The types of a Mesh's conditions.
const (
	// MeshAccepted: the spec can be put to work.
	MeshAccepted = "Accepted"
	// MeshGatewayAPIInstalled: the cluster serves the kinds of the Gateway API that Leno reads.
	MeshGatewayAPIInstalled = "GatewayAPIInstalled"
	// MeshCertManagerInstalled: the cluster serves the kinds of cert-manager.
	MeshCertManagerInstalled = "CertManagerInstalled"
	// MeshIssuerReady: the issuer of the workloads' certificates is there and works.
	MeshIssuerReady = "IssuerReady"
	// MeshInjectionReady: the API server can ask the manager about new pods.
	MeshInjectionReady = "InjectionReady"
	// MeshReady: all of the above.
	MeshReady = "Ready"
)
