package config

import (
	"fmt"
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
	Port      *Port
	// Certificate and Roots are of gateways.
	Certificate *Certificate
	Roots       *Roots
}

// InboundListener is the listener by the name "inbound": how the pod receives, and the settings of the whole proxy.
type InboundListener struct {
	Inbound
	Policy    OutboundPolicy
	AccessLog bool
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
		case strings.HasPrefix(name, GatewayPrefix):
			r.Port, err = decodePort(name, body)
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
		err = r.decodeSecret(name, version, body)
	default:
		return Resource{}, fmt.Errorf("resource %q has type %q, which this proxy does not support", name, typeURL)
	}
	if err != nil {
		return Resource{}, fmt.Errorf("%s %q: %w", kindOf(typeURL), name, err)
	}
	return r, nil
}

// decodeSecret reads a secret of the kind that its name says.
func (r *Resource) decodeSecret(name, version string, body []byte) (err error) {
	switch {
	case strings.HasPrefix(name, CertificatePrefix):
		if r.Certificate, err = decodeCertificate(name, body); err == nil {
			r.Certificate.Version = version
		}
	case strings.HasPrefix(name, ClientRootsPrefix):
		if r.Roots, err = decodeClientRoots(name, body); err == nil {
			r.Roots.Version = version
		}
	default:
		r.Bundle, err = decodeBundle(name, body)
	}
	return err
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
