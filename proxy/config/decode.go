package config

import (
	"fmt"
	"slices"
	"strings"
)

// Resource is one decoded resource: the field of its type is set.
type Resource struct {
	Listener  *Listener
	Datagram  *Datagram
	Inbound   *InboundListener
	Routes    *RouteTable
	Cluster   *Cluster // without endpoints
	Endpoints *Assignment
	Bundle    []byte // PEM
}

// InboundListener is the listener by the name "inbound": how the pod receives, and the settings of the whole proxy.
type InboundListener struct {
	Inbound
	RegistryOnly bool
	AccessLog    bool
}

// Assignment is the endpoints of the cluster of the same name.
type Assignment struct {
	Cluster   string
	Version   string
	Endpoints []Endpoint
}

// Decode reads a serialized Envoy resource (the value of its Any) that was sent under a name and a version. It refuses
// what this proxy does not support; the error names the resource and the field, and is fit to be sent back as the NACK.
func Decode(typeURL, name, version string, body []byte) (Resource, error) {
	var r Resource
	var err error
	switch typeURL {
	case ListenerType:
		switch {
		case name == InboundName:
			r.Inbound, err = decodeInbound(body)
		case strings.HasPrefix(name, DatagramPrefix):
			r.Datagram, err = decodeDatagram(name, body)
		default:
			r.Listener, err = decodeListener(name, body)
		}
	case RouteType:
		r.Routes, err = decodeRoutes(name, body)
		if err == nil {
			r.Routes.Version = version
		}
	case ClusterType:
		r.Cluster, err = decodeCluster(name, body)
		if err == nil {
			r.Cluster.Version = version
		}
	case EndpointType:
		r.Endpoints, err = decodeEndpoints(name, body)
		if err == nil {
			r.Endpoints.Version = version
		}
	case SecretType:
		r.Bundle, err = decodeBundle(name, body)
	default:
		return Resource{}, fmt.Errorf("resource %q has type %q, which this proxy does not support", name, typeURL)
	}
	if err != nil {
		return Resource{}, fmt.Errorf("%s %q: %w", kindOf(typeURL), name, err)
	}
	return r, nil
}

// kindOf is the short name of a type URL.
func kindOf(typeURL string) string {
	for i := len(typeURL) - 1; i >= 0; i-- {
		if typeURL[i] == '.' {
			return typeURL[i+1:]
		}
	}
	return typeURL
}

// named refuses a resource that calls itself something else than it was sent as. The name is field 1 of every kind.
func (m *message) named(label, want string) {
	if got := m.text(1, label); got != want {
		m.fail("calls itself %q", got)
	}
}

// decodeBundle reads an envoy.extensions.transport_sockets.tls.v3.Secret with a validation context.
func decodeBundle(name string, body []byte) (pem []byte, err error) {
	err = read(body, func(m *message) {
		m.named("name", name)
		context := m.sub(4, "validation_context")
		source := context.sub(1, "trusted_ca")
		pem = slices.Clone(source.bytes(2, "inline_bytes"))
		if len(pem) == 0 {
			m.fail("field validation_context.trusted_ca.inline_bytes is empty")
		}
		source.done()
		context.done()
		m.done()
	})
	return pem, err
}
