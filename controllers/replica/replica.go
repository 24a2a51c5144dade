// Package replica says which work is for every replica of the manager, not for the leader alone.
package replica

import "context"

// Every is a Runnable of controller-runtime that does not wait for leadership.
type Every func(context.Context) error

// Start runs it.
func (f Every) Start(ctx context.Context) error { return f(ctx) }

// NeedLeaderElection is false.
func (Every) NeedLeaderElection() bool { return false }
