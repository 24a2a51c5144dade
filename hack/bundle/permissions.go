package main

import (
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// permission is StrategyDeploymentPermissions of a ClusterServiceVersion.
type permission struct {
	ServiceAccountName string              `json:"serviceAccountName"`
	Rules              []rbacv1.PolicyRule `json:"rules"`
}

// grants turns the ClusterRoleBindings into the install strategy's clusterPermissions, and gives back the ClusterRoles that nothing
// binds: those are for people, and go into the bundle as they are.
//
// Roles are no part of this: OLM makes the permissions of an operator that watches all namespaces cluster-wide, so Leno's Role, which
// reads and writes Secrets of its own namespace, would open the Secrets of the whole cluster. As an object of the bundle it stays a Role.
func grants(r rendered) (granted []permission, free []*unstructured.Unstructured, err error) {
	roles := map[string]rbacv1.ClusterRole{}
	for _, object := range r.clusterRoles {
		role, err := typed[rbacv1.ClusterRole](object)
		if err != nil {
			return nil, nil, err
		}
		roles[role.Name] = role
	}
	bound, accounts := map[string]bool{}, map[string]bool{}
	for _, object := range r.clusterBindings {
		binding, err := typed[rbacv1.ClusterRoleBinding](object)
		if err != nil {
			return nil, nil, err
		}
		role, ok := roles[binding.RoleRef.Name]
		if !ok {
			return nil, nil, fmt.Errorf("ClusterRoleBinding %s: ClusterRole %s is not among the manifests", binding.Name, binding.RoleRef.Name)
		}
		if role.AggregationRule != nil {
			return nil, nil, fmt.Errorf("ClusterRole %s aggregates others: a ClusterServiceVersion can only list rules", role.Name)
		}
		for _, subject := range binding.Subjects {
			if subject.Kind != rbacv1.ServiceAccountKind || subject.Namespace != r.namespace.GetName() {
				return nil, nil, fmt.Errorf("ClusterRoleBinding %s: OLM grants to service accounts in %s only, not to %s %s/%s",
					binding.Name, r.namespace.GetName(), subject.Kind, subject.Namespace, subject.Name)
			}
			granted = append(granted, permission{ServiceAccountName: subject.Name, Rules: role.Rules})
			accounts[subject.Name] = true
		}
		bound[role.Name] = true
	}
	for _, account := range r.accounts {
		if !accounts[account.GetName()] {
			return nil, nil, fmt.Errorf("ServiceAccount %s has no ClusterRoleBinding: OLM makes only the accounts that it grants something to", account.GetName())
		}
	}
	for _, object := range r.clusterRoles {
		if !bound[object.GetName()] {
			free = append(free, object)
		}
	}
	return granted, free, nil
}

// typed decodes an object and refuses fields that its type does not have.
func typed[T any](object *unstructured.Unstructured) (T, error) {
	var into T
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, &into, true); err != nil {
		return into, fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return into, nil
}
