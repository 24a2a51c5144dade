package xds

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/leno-mesh/leno/internal/mesh"
)

// metadata builds filter metadata from pairs of key and fields; empty ones are left out.
type metadata map[string]*structpb.Struct

func (m metadata) set(key string, f fields) metadata {
	if len(f) > 0 {
		m[key] = f.structure()
	}
	return m
}

func (m metadata) proto() *corev3.Metadata {
	if len(m) == 0 {
		return nil
	}
	return &corev3.Metadata{FilterMetadata: m}
}

// fields is a struct of strings, numbers, flags, lists and structs. Zero values are left out when it is built.
type fields map[string]*structpb.Value

func (f fields) structure() *structpb.Struct { return &structpb.Struct{Fields: f} }

func (f fields) text(key, value string) fields {
	if value != "" {
		f[key] = structpb.NewStringValue(value)
	}
	return f
}

func (f fields) number(key string, value float64) fields {
	if value != 0 {
		f[key] = structpb.NewNumberValue(value)
	}
	return f
}

func (f fields) flag(key string, value bool) fields {
	if value {
		f[key] = structpb.NewBoolValue(true)
	}
	return f
}

func (f fields) nested(key string, value fields) fields {
	if len(value) > 0 {
		f[key] = structpb.NewStructValue(value.structure())
	}
	return f
}

func origin(o mesh.Origin) fields {
	return fields{}.text("kind", o.Kind).text("namespace", o.Namespace).text("name", o.Name).
		text("rule", o.Rule).number("generation", float64(o.Generation))
}

func workload(w *mesh.Workload, identity string) fields {
	return fields{}.text("namespace", w.Namespace).text("name", w.Owner).text("pod", w.Name.Name).
		text("identity", identity)
}
