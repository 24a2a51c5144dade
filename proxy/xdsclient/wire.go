package xdsclient

import (
	"fmt"
	"maps"
	"slices"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// The messages of envoy.service.discovery.v3 are written and read by field number, like the resources in them (see package
// config): generated code would cost each proxy several MiB.

// method is the one call of the protocol.
const method = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"

// node is sent with the first request of a stream.
type node struct{ ID, Zone string }

// request is a DeltaDiscoveryRequest.
type request struct {
	Node        *node
	Type        string
	Subscribe   []string
	Unsubscribe []string
	Versions    map[string]string // initial_resource_versions
	Nonce       string            // of the response that this answers
	Refused     string            // why it was refused; empty: accepted
}

// response is a DeltaDiscoveryResponse.
type response struct {
	Type      string
	Nonce     string
	Resources []resource
	Removed   []string
}

// resource is one resource of a response or of the cache file.
type resource struct {
	Type    string
	Name    string
	Version string
	Body    []byte
}

func appendText(b []byte, number protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), s)
}

func appendMessage(b []byte, number protowire.Number, m []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), m)
}

func (r request) marshal() []byte {
	var b []byte
	if r.Node != nil {
		n := appendText(nil, 1, r.Node.ID)
		if r.Node.Zone != "" {
			n = appendMessage(n, 4, appendText(nil, 2, r.Node.Zone)) // locality.zone
		}
		n = appendText(n, 6, "leno-proxy") // user_agent_name
		b = appendMessage(b, 1, n)
	}
	b = appendText(b, 2, r.Type)
	for _, name := range r.Subscribe {
		b = appendText(b, 3, name)
	}
	for _, name := range r.Unsubscribe {
		b = appendText(b, 4, name)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		b = appendMessage(b, 5, appendText(appendText(nil, 1, name), 2, r.Versions[name]))
	}
	b = appendText(b, 6, r.Nonce)
	if r.Refused != "" {
		const invalidArgument = 3 // google.rpc.Code
		s := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), invalidArgument)
		b = appendMessage(b, 7, appendText(s, 2, r.Refused))
	}
	return b
}

// marshal writes a response, for the cache file.
func (r response) marshal() []byte {
	var b []byte
	for _, res := range r.Resources {
		body := appendMessage(appendText(nil, 1, res.Type), 2, res.Body)
		one := appendText(nil, 1, res.Version)
		one = appendMessage(one, 2, body)
		b = appendMessage(b, 2, appendText(one, 3, res.Name))
	}
	return b
}

// eachBytes calls f for each length-delimited field of a message and passes over the others.
func eachBytes(b []byte, f func(protowire.Number, []byte) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
				return protowire.ParseError(n)
			}
			b = b[n:]
			continue
		}
		value, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if err := f(number, value); err != nil {
			return err
		}
	}
	return nil
}

// parseResponse reads a response. Bodies alias b.
func parseResponse(b []byte) (response, error) {
	var r response
	err := eachBytes(b, func(number protowire.Number, v []byte) error {
		switch number {
		case 2:
			res, err := parseResource(v)
			r.Resources = append(r.Resources, res)
			return err
		case 4:
			r.Type = string(v)
		case 5:
			r.Nonce = string(v)
		case 6:
			r.Removed = append(r.Removed, string(v))
		}
		return nil
	})
	if err != nil {
		return response{}, fmt.Errorf("read DeltaDiscoveryResponse: %w", err)
	}
	return r, nil
}

func parseResource(b []byte) (resource, error) {
	var r resource
	err := eachBytes(b, func(number protowire.Number, v []byte) error {
		switch number {
		case 1:
			r.Version = string(v)
		case 2:
			return eachBytes(v, func(number protowire.Number, v []byte) error {
				switch number {
				case 1:
					r.Type = string(v)
				case 2:
					r.Body = v
				}
				return nil
			})
		case 3:
			r.Name = string(v)
		}
		return nil
	})
	return r, err
}

// frame is a message as gRPC carries it.
type frame struct{ bytes []byte }

// codec passes frames through. Its name is that of the encoding on the wire.
type codec struct{}

func (codec) Name() string { return "proto" }

func (codec) Marshal(v any) (mem.BufferSlice, error) {
	f, ok := v.(*frame)
	if !ok {
		return nil, fmt.Errorf("codec takes frames, not %T", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(f.bytes)}, nil
}

func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	f, ok := v.(*frame)
	if !ok {
		return fmt.Errorf("codec fills frames, not %T", v)
	}
	f.bytes = data.Materialize()
	return nil
}
