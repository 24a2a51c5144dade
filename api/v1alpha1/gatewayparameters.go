package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// GatewayParameters says what the proxies of a Gateway run on. A Gateway refers to it in spec.infrastructure.parametersRef, a
// GatewayClass in spec.parametersRef; what a Gateway's says wins, field by field. Changes apply at once. Fields of the Deployment and the
// Service that nobody sets are left to others: what is changed there by hand or by another controller stays.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=gatewayparameters,singular=gatewayparameters,categories=leno
// +kubebuilder:printcolumn:name="Replicas",type=integer,JSONPath=`.spec.replicas`
// +kubebuilder:printcolumn:name="Service",type=string,JSONPath=`.spec.service.type`
// +kubebuilder:printcolumn:name="Min Available",type=string,JSONPath=`.spec.minAvailable`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type GatewayParameters struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the proxies run on.
	// +optional
	Spec GatewayParametersSpec `json:"spec,omitempty"`
}

// GatewayParametersList is a list of GatewayParameters.
//
// +kubebuilder:object:root=true
type GatewayParametersList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []GatewayParameters `json:"items"`
}

// GatewayParametersSpec is what the proxies of a Gateway run on. Every field may be left out.
//
// +kubebuilder:validation:XValidation:rule="!has(self.replicas) || !has(self.minAvailable) || type(self.minAvailable) != int || int(self.minAvailable) < self.replicas",message="minAvailable must be below replicas: else no node with a proxy on it could be drained"
type GatewayParametersSpec struct {
	// Replicas is how many proxies there are. Left out, it is 1 at first, and then what kubectl scale says. A
	// HorizontalPodAutoscaler of the Deployment wins over this field.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	// +optional
	Replicas *int32 `json:"replicas,omitempty"`

	// Resources of each proxy; left out: requests of 100m CPU and 64Mi memory, no limits.
	// +kubebuilder:validation:XValidation:rule="!has(self.claims)",message="proxies use no claimed devices: leave claims out"
	// +optional
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`

	// Service is how the proxies are reached.
	// +optional
	Service GatewayService `json:"service,omitempty"`

	// NodeSelector limits the nodes that proxies run on, by their labels.
	// +kubebuilder:validation:MaxProperties=32
	// +optional
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`

	// Tolerations let proxies run on nodes with taints.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// MinAvailable is how many proxies, as a number or as a part like "80%", must stay while nodes are drained. Left out, one
	// proxy at a time may go.
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? int(self) >= 0 : string(self).matches('^[0-9]{1,2}%$')",message="minAvailable is a number, or a part below 100%, as in 1 or \"80%\""
	// +optional
	MinAvailable *intstr.IntOrString `json:"minAvailable,omitempty"`
}

// GatewayServiceType is the type of a Gateway's Service.
//
// +kubebuilder:validation:Enum=LoadBalancer;NodePort;ClusterIP
type GatewayServiceType string

// GatewayService is how the proxies are reached.
type GatewayService struct {
	// Type of the Service; left out: LoadBalancer. A Gateway that asks for an address that only the cluster can reach has ClusterIP.
	// +optional
	Type GatewayServiceType `json:"type,omitempty"`

	// Annotations of the Service, beside those of the Gateway's spec.infrastructure, over which they win. Clouds read them.
	// +kubebuilder:validation:MaxProperties=64
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`

	// Labels of the Service, beside those of the Gateway's spec.infrastructure, over which they win.
	// +kubebuilder:validation:MaxProperties=64
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
}
