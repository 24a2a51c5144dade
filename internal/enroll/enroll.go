// Package enroll is how a sidecar gets its certificate: it makes its key in memory, sends a certificate request with its
// service-account token to the manager, and keeps what comes back fresh.
package enroll

//go:generate go run github.com/bufbuild/buf/cmd/buf@v1.75.0 generate

import (
	"context"
	"errors"
)

// Caller is the pod that a token was issued to.
type Caller struct {
	Namespace      string
	ServiceAccount string
	Pod            string
	PodUID         string
}

// ErrRefused is wrapped by an [Authenticator] that does not accept a token, and by a [Signer] that does not want to sign
// for this caller. All other errors mean: try again later.
var ErrRefused = errors.New("refused")

// Authenticator finds out whose token this is.
type Authenticator interface {
	Authenticate(ctx context.Context, token string) (Caller, error)
}

// Signer has a checked certificate request signed.
type Signer interface {
	Sign(ctx context.Context, who Caller, csrDER []byte) (chainPEM, rootsPEM []byte, err error)
}
