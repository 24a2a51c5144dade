package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// Envoy's messages are read from the wire by field number, without generated code: that would cost each proxy 8 MiB of
// memory for descriptors. What a decoder asks for is what the proxy supports; done refuses everything else, so an
// unsupported field is never ignored silently.

// message is one protobuf message being read. All methods do nothing on a nil message and after the first error.
type message struct {
	doc    *document
	parent *message
	label  string // name of the field of parent that holds this message
	index  int    // position in a repeated field, or -1
	fields []field
}

type field struct {
	number protowire.Number
	kind   protowire.Type
	value  uint64 // varint
	bytes  []byte // length-delimited
	seen   bool
}

// document is the resource that messages belong to; it keeps the first error.
type document struct{ err error }

// read decodes a resource with f. The error names the field that was wrong.
func read(body []byte, f func(*message)) error {
	doc := &document{}
	root := doc.parse(nil, "", -1, body)
	f(root)
	return doc.err
}

func (d *document) parse(parent *message, label string, index int, body []byte) *message {
	m := &message{doc: d, parent: parent, label: label, index: index}
	for len(body) > 0 && d.err == nil {
		f := field{}
		var n int
		f.number, f.kind, n = protowire.ConsumeTag(body)
		if n >= 0 {
			body = body[n:]
			switch f.kind {
			case protowire.VarintType:
				f.value, n = protowire.ConsumeVarint(body)
			case protowire.Fixed64Type:
				f.value, n = protowire.ConsumeFixed64(body)
			case protowire.BytesType:
				f.bytes, n = protowire.ConsumeBytes(body)
			default: // groups and fixed32, which no supported field has
				n = protowire.ConsumeFieldValue(f.number, f.kind, body)
			}
		}
		if n < 0 {
			m.fail("is not a protobuf message: %v", protowire.ParseError(n))
			return m
		}
		body = body[n:]
		m.fields = append(m.fields, f)
	}
	return m
}

// fail keeps the first error of the document, with the path to this message.
func (m *message) fail(format string, args ...any) {
	if m == nil || m.doc.err != nil {
		return
	}
	text := fmt.Sprintf(format, args...)
	if path := m.path(); path != "" {
		text = path + ": " + text
	}
	m.doc.err = errors.New(text)
}

func (m *message) path() string {
	var parts []string
	for ; m != nil && m.label != ""; m = m.parent {
		part := m.label
		if m.index >= 0 {
			part += "[" + strconv.Itoa(m.index) + "]"
		}
		parts = append([]string{part}, parts...)
	}
	return strings.Join(parts, ".")
}

func (m *message) ok() bool { return m != nil && m.doc.err == nil }

// has tells whether a field is present, without reading it.
func (m *message) has(number protowire.Number) bool {
	if m == nil {
		return false
	}
	for i := range m.fields {
		if m.fields[i].number == number {
			return true
		}
	}
	return false
}

// one finds a field that may be present once at most.
func (m *message) one(number protowire.Number, kind protowire.Type, label string) *field {
	if !m.ok() {
		return nil
	}
	var found *field
	for i := range m.fields {
		f := &m.fields[i]
		if f.number != number {
			continue
		}
		f.seen = true
		if found != nil || f.kind != kind {
			m.fail("field %s is malformed", label)
			return nil
		}
		found = f
	}
	return found
}

// all finds the values of a repeated field of messages or strings.
func (m *message) all(number protowire.Number, label string, each func(index int, value []byte)) {
	if !m.ok() {
		return
	}
	index := 0
	for i := range m.fields {
		f := &m.fields[i]
		if f.number != number {
			continue
		}
		f.seen = true
		if f.kind != protowire.BytesType {
			m.fail("field %s is malformed", label)
			return
		}
		each(index, f.bytes)
		index++
	}
}

func (m *message) number(number protowire.Number, label string) uint64 {
	if f := m.one(number, protowire.VarintType, label); f != nil {
		return f.value
	}
	return 0
}

// numbers is a packed repeated field.
func (m *message) numbers(number protowire.Number, label string) []uint64 {
	var list []uint64
	m.all(number, label, func(_ int, b []byte) {
		for len(b) > 0 {
			v, n := protowire.ConsumeVarint(b)
			if n < 0 {
				m.fail("field %s is malformed", label)
				return
			}
			list, b = append(list, v), b[n:]
		}
	})
	return list
}

func (m *message) flag(number protowire.Number, label string) bool {
	return m.number(number, label) != 0
}

func (m *message) bytes(number protowire.Number, label string) []byte {
	if f := m.one(number, protowire.BytesType, label); f != nil {
		return f.bytes
	}
	return nil
}

func (m *message) text(number protowire.Number, label string) string {
	return m.utf8(m.bytes(number, label), label)
}

func (m *message) utf8(b []byte, label string) string {
	if !utf8.Valid(b) {
		m.fail("field %s is not UTF-8", label)
		return ""
	}
	return string(b)
}

func (m *message) texts(number protowire.Number, label string) []string {
	var list []string
	m.all(number, label, func(_ int, b []byte) { list = append(list, m.utf8(b, label)) })
	return list
}

// sub is the message in a field, nil when it is absent.
func (m *message) sub(number protowire.Number, label string) *message {
	f := m.one(number, protowire.BytesType, label)
	if f == nil {
		return nil
	}
	return m.doc.parse(m, label, -1, f.bytes)
}

func (m *message) subs(number protowire.Number, label string) []*message {
	var list []*message
	m.all(number, label, func(i int, b []byte) { list = append(list, m.doc.parse(m, label, i, b)) })
	return list
}

// wrapped is the number in a google.protobuf wrapper message.
func (m *message) wrapped(number protowire.Number, label string) uint64 {
	w := m.sub(number, label)
	defer w.done()
	return w.number(1, "value")
}

// maxDuration is more than any timeout can mean (a year) and far from overflow.
const maxDuration = 366 * 24 * time.Hour

func (m *message) duration(number protowire.Number, label string) time.Duration {
	d := m.sub(number, label)
	seconds, nanos := int64(d.number(1, "seconds")), int64(d.number(2, "nanos"))
	d.done()
	if seconds < 0 || nanos < 0 || seconds > int64(maxDuration/time.Second) || nanos >= int64(time.Second) {
		m.fail("field %s is negative or longer than a year", label)
		return 0
	}
	return time.Duration(seconds)*time.Second + time.Duration(nanos)
}

// anything is a google.protobuf.Any: the full name of the message in it, and the message.
func (m *message) anything(number protowire.Number, label string) (string, *message) {
	a := m.sub(number, label)
	url, body := a.text(1, "type_url"), a.bytes(2, "value")
	a.done()
	if !a.ok() {
		return "", nil
	}
	return url[strings.LastIndexByte(url, '/')+1:], m.doc.parse(m, label, -1, body)
}

// ignore marks fields that are understood and that this proxy needs nothing from.
func (m *message) ignore(numbers ...protowire.Number) {
	if m == nil {
		return
	}
	for i := range m.fields {
		for _, n := range numbers {
			if m.fields[i].number == n {
				m.fields[i].seen = true
			}
		}
	}
}

// done refuses the message if it has a field that was neither read nor ignored.
func (m *message) done() {
	if !m.ok() {
		return
	}
	for i := range m.fields {
		if !m.fields[i].seen {
			m.fail("field number %d is set, which this proxy does not support", m.fields[i].number)
			return
		}
	}
}
