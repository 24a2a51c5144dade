package config

import (
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// metadata is filter metadata: one google.protobuf.Struct per key.
type metadata map[string]*object

// object is a google.protobuf.Struct being read. Like a message, it refuses what was not asked for, and a nil one is empty.
type object struct {
	at     *message // where it stands, for errors
	key    string
	values map[string]*message // google.protobuf.Value, unread
}

// filterMetadata reads an envoy.config.core.v3.Metadata. Keys that are not Leno's own are left alone: they are for others.
func (m *message) filterMetadata(number protowire.Number) metadata {
	md := metadata{}
	core := m.sub(number, "metadata")
	for _, entry := range core.subs(1, "filter_metadata") {
		key := entry.text(1, "key")
		if !strings.HasPrefix(key, "dev.leno.") {
			continue
		}
		md[key] = newObject(core, entry.sub(2, "value"), key)
		entry.done()
	}
	core.ignore(2) // typed_filter_metadata: for others
	core.done()
	return md
}

// newObject reads a google.protobuf.Struct; errors are told of the message at.
func newObject(at, m *message, key string) *object {
	o := &object{at: at, key: key, values: map[string]*message{}}
	for _, entry := range m.subs(1, "fields") {
		o.values[entry.text(1, "key")] = entry.sub(2, "value")
		entry.done()
	}
	m.done()
	return o
}

func (o *object) fail(format string, args ...any) {
	o.at.fail(o.key+" "+format, args...)
}

// take returns the value of a key and forgets it.
func (o *object) take(key string) *message {
	if o == nil {
		return nil
	}
	v := o.values[key]
	delete(o.values, key)
	return v
}

func (o *object) text(key string) string {
	v := o.take(key)
	defer v.done()
	return v.text(3, "string_value")
}

// textPointer is nil when the key is absent, so that an empty text can be told from none.
func (o *object) textPointer(key string) *string {
	v := o.take(key)
	if v == nil {
		return nil
	}
	s := v.text(3, "string_value")
	v.done()
	return &s
}

func (o *object) flag(key string) bool {
	v := o.take(key)
	defer v.done()
	return v.flag(4, "bool_value")
}

// count is a whole number from 0 to limit.
func (o *object) count(key string, limit uint32) uint32 {
	v := o.take(key)
	defer v.done()
	f := v.one(2, protowire.Fixed64Type, "number_value")
	if f == nil {
		return 0
	}
	n := math.Float64frombits(f.value)
	if !(n >= 0 && n <= float64(limit)) || n != math.Trunc(n) {
		o.fail("%s is not a whole number from 0 to %d", key, limit)
		return 0
	}
	return uint32(n)
}

func (o *object) object(key string) *object {
	v := o.take(key)
	if v == nil {
		return nil
	}
	inner := newObject(v, v.sub(5, "struct_value"), o.key+"."+key)
	v.done()
	return inner
}

func (o *object) objects(key string) []*object {
	v := o.take(key)
	list := v.sub(6, "list_value")
	v.done()
	var out []*object
	for _, item := range list.subs(1, "values") {
		out = append(out, newObject(item, item.sub(5, "struct_value"), o.key+"."+key))
		item.done()
	}
	list.done()
	return out
}

// keys lists what was not taken yet, sorted.
func (o *object) keys() []string {
	if o == nil {
		return nil
	}
	var keys []string
	for k := range o.values {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// done refuses the object if something in it was not read.
func (o *object) done() {
	if keys := o.keys(); len(keys) > 0 {
		o.fail("has %q, which this proxy does not support", keys[0])
	}
}

func (md metadata) origin() Origin {
	o := md[keyOrigin]
	defer o.done()
	return Origin{
		Kind: o.text("kind"), Namespace: o.text("namespace"), Name: o.text("name"), Rule: o.text("rule"),
		Generation: int64(o.count("generation", math.MaxUint32)),
	}
}

func (md metadata) workload() Workload {
	o := md[keyWorkload]
	defer o.done()
	return Workload{
		Namespace: o.text("namespace"), Name: o.text("name"), Pod: o.text("pod"), Identity: o.text("identity"),
	}
}
