// Package v1alpha1 holds the custom resources of Leno, API group mesh.leno.dev.
// +kubebuilder:object:generate=true
// +groupName=mesh.leno.dev
package v1alpha1
