package golden

import (
	"cmp"
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/status"
)

// Mesh is a mesh as YAML to be read: maps by key, nothing that is empty.
func Mesh(m *mesh.Mesh) []byte { return Plain(m) }

// Status is wanted status as YAML to be read.
func Status(wants []status.Want) []byte { return Plain(wants) }

// Plain is any plain data as YAML to be read, always the same for equal data.
func Plain(v any) []byte {
	node := nodeOf(reflect.ValueOf(v))
	if node == nil {
		return []byte("{}\n")
	}
	var b strings.Builder
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(node); err != nil {
		panic(fmt.Sprintf("golden: plain data cannot be written as YAML: %v", err)) // a mistake in nodeOf
	}
	return []byte(b.String())
}

// texts are types that are written as their text.
var texts = []reflect.Type{reflect.TypeFor[mesh.Name](), reflect.TypeFor[mesh.Registry](), reflect.TypeFor[time.Duration]()}

// nodeOf is nil for what is empty. Pointers to a zero value are not: they say that something was set.
func nodeOf(v reflect.Value) *yaml.Node {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		if node := nodeOf(v.Elem()); node != nil {
			return node
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Style: yaml.DoubleQuotedStyle}
	}
	if v.Kind() == reflect.Interface {
		return nodeOf(v.Elem())
	}
	if v.IsZero() {
		return nil
	}
	if text, ok := textOf(v); ok {
		return scalar(text)
	}
	switch v.Kind() {
	case reflect.Struct:
		return structNode(v)
	case reflect.Map:
		return mapNode(v)
	case reflect.Slice:
		return sliceNode(v)
	}
	node := &yaml.Node{}
	if err := node.Encode(v.Interface()); err != nil {
		panic(fmt.Sprintf("golden: a %s is no plain data: %v", v.Type(), err))
	}
	return node
}

func scalar(text string) *yaml.Node {
	node := &yaml.Node{}
	node.SetString(text)
	return node
}

// textOf writes what has a good short form.
func textOf(v reflect.Value) (string, bool) {
	switch t := v.Interface().(type) {
	case mesh.ServicePort:
		if t.UDP {
			return fmt.Sprintf("%s:%d/udp", t.Name, t.Port), true
		}
		if t.XBackend {
			return fmt.Sprintf("%s:%d/xbackend", t.Name, t.Port), true
		}
		return fmt.Sprintf("%s:%d", t.Name, t.Port), true
	case mesh.Key:
		return t.String(), true
	case []byte:
		return fmt.Sprintf("%d bytes", len(t)), true
	case mesh.Origin:
		name := strings.TrimPrefix(t.Namespace+"/"+t.Name, "/")
		if t.Rule != "" {
			name += " rule " + t.Rule
		}
		if t.Generation != 0 {
			name += fmt.Sprintf(" generation %d", t.Generation)
		}
		return t.Kind + " " + name, true
	case encoding.TextMarshaler:
		text, err := t.MarshalText()
		return string(text), err == nil
	case fmt.Stringer:
		return t.String(), slices.Contains(texts, v.Type())
	}
	return "", false
}

func structNode(v reflect.Value) *yaml.Node {
	out := &yaml.Node{Kind: yaml.MappingNode}
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !field.IsExported() {
			continue
		}
		value := nodeOf(v.Field(i))
		if value == nil && v.Type() == reflect.TypeFor[status.Condition]() && field.Type.Kind() == reflect.Bool {
			value = &yaml.Node{Kind: yaml.ScalarNode, Value: "false"} // the one false that says something
		}
		if value != nil {
			out.Content = append(out.Content, scalar(lowerFirst(field.Name)), value)
		}
	}
	if len(out.Content) == 0 {
		return nil
	}
	return out
}

// lowerFirst is the name of a Go field as YAML has it: WorkloadByIP is workloadByIP, MTLS is mtls.
func lowerFirst(name string) string {
	runes := []rune(name)
	for i := range runes {
		if i > 0 && i+1 < len(runes) && unicode.IsLower(runes[i+1]) || unicode.IsLower(runes[i]) {
			break
		}
		runes[i] = unicode.ToLower(runes[i])
	}
	return string(runes)
}

func mapNode(v reflect.Value) *yaml.Node {
	type pair struct{ key, value *yaml.Node }
	var pairs []pair
	for key, value := range maps.Collect(v.Seq2()) {
		if node := nodeOf(value); node != nil {
			pairs = append(pairs, pair{keyOf(key), node})
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int { return cmp.Compare(a.key.Value, b.key.Value) })
	out := &yaml.Node{Kind: yaml.MappingNode}
	for _, p := range pairs {
		out.Content = append(out.Content, p.key, p.value)
	}
	if len(pairs) == 0 {
		return nil
	}
	return out
}

func keyOf(key reflect.Value) *yaml.Node {
	if node := nodeOf(key); node != nil {
		return node
	}
	return scalar("")
}

func sliceNode(v reflect.Value) *yaml.Node {
	out := &yaml.Node{Kind: yaml.SequenceNode}
	for i := range v.Len() {
		node := nodeOf(v.Index(i))
		if node == nil {
			node = &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
		}
		out.Content = append(out.Content, node)
	}
	return out
}
