// Package xds translates the mesh into Envoy's v3 resources. Each function is pure: the mesh, who asks, and a resource's
// name in; the resource out. Nothing is translated that nobody asked for.
package xds

import (
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/leno-mesh/leno/internal/mesh"
)

// ErrUnknown says that the mesh has nothing by that name. The answer to a subscription is then removed_resources.
var ErrUnknown = errors.New("the mesh has no such resource")

// Translate makes the resource of a type and name for the pod that asks. The error is ErrUnknown, or tells that the
// resource cannot be serialized.
func Translate(m *mesh.Mesh, who mesh.Name, typeURL, name string) (Resource, error) {
	msg := Message(m, who, typeURL, name)
	if msg == nil {
		return Resource{}, fmt.Errorf("%s %q: %w", typeURL, name, ErrUnknown)
	}
	return Seal(typeURL, name, msg)
}

// Message is Translate before serializing; nil when the mesh has nothing by that name.
func Message(m *mesh.Mesh, who mesh.Name, typeURL, name string) proto.Message {
	// Each case tests for nil itself: a typed nil pointer in the interface would not be nil.
	switch typeURL {
	case ListenerType:
		if l := Listener(m, who, name); l != nil {
			return l
		}
	case RouteType:
		if r := RouteConfiguration(m, who, name); r != nil {
			return r
		}
	case ClusterType:
		if c := Cluster(m, who, name); c != nil {
			return c
		}
	case EndpointType:
		if e := Endpoints(m, name); e != nil {
			return e
		}
	case SecretType:
		if s := Secret(m, who, name); s != nil {
			return s
		}
	}
	return nil
}

// Scope says for whom a resource is the same: "" for everybody, else only for askers with an equal scope.
func Scope(m *mesh.Mesh, who mesh.Name, typeURL, name string) string {
	if gatewaysOwn(m, who, typeURL, name) {
		if g := gatewayOf(m, who); g != nil {
			return gatewayScope + g.String()
		}
		return ""
	}
	if _, _, ok := parseRegisteredRoute(name); ok && typeURL == RouteType {
		return who.Namespace
	}
	if typeURL != ListenerType {
		return ""
	}
	if name == InboundName {
		return who.String()
	}
	dst, ok := ParseListenerName(name)
	if !ok {
		return ""
	}
	if dst.Addr().IsUnspecified() {
		return who.Namespace
	}
	_, port := frontend(m, dst)
	if port == nil || port.Consumer[who.Namespace] == nil && port.ConsumerL4[who.Namespace] == nil {
		return ""
	}
	return who.Namespace
}

// gatewayScope begins the scope of what is the same for all proxies of one gateway; no other scope has a space.
const gatewayScope = "gateway "

// gatewaysOwn tells whether a resource depends on the gateway whose proxy asks.
func gatewaysOwn(m *mesh.Mesh, who mesh.Name, typeURL, name string) bool {
	switch typeURL {
	case ListenerType:
		return strings.HasPrefix(name, gatewayPrefix) || strings.HasPrefix(name, datagramPrefix)
	case RouteType:
		return isGatewayRoute(name)
	case ClusterType:
		return gatewayOf(m, who) != nil // the version of HTTP, and TLS
	case SecretType:
		return true
	}
	return false
}
