package xds

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"google.golang.org/protobuf/proto"
)

// Resource is one Envoy resource, serialized.
type Resource struct {
	Type string // type URL
	Name string
	// Version is a hash of Body: equal content has an equal version, on each replica and after each restart.
	Version string
	Body    []byte
}

// versionBytes is how much of the hash is sent. Versions are compared only among those of one name.
const versionBytes = 8

// Seal serializes a resource deterministically and derives its version.
func Seal(typeURL, name string, m proto.Message) (Resource, error) {
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return Resource{}, fmt.Errorf("serialize %s %q: %w", typeURL, name, err)
	}
	sum := sha256.Sum256(body)
	return Resource{Type: typeURL, Name: name, Version: hex.EncodeToString(sum[:versionBytes]), Body: body}, nil
}
