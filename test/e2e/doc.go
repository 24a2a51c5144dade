// Package e2e tests Leno on a real cluster that has it installed: KUBECONFIG=... go test -tags e2e ./test/e2e. "make test-e2e"
// brings the cluster up and runs them inside its network, where pods and Services can be reached.
package e2e
