package manifest

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The forms of the messages of the decoders below us, from which the field and the line are read.
var (
	unknownField = regexp.MustCompile(`(unknown|duplicate) field "([^"]+)"`)
	wrongType    = regexp.MustCompile(`cannot unmarshal (\w+).* into Go struct field \w*\.?([\w.]+) of type (\S+)`)
	yamlLine     = regexp.MustCompile(`line (\d+): (.*)`)
)

// written is how people call what JSON calls otherwise.
var written = map[string]string{
	"string": "text", "number": "a number", "bool": "true or false", "object": "an object with fields", "array": "a list",
}

// describe turns a decoder's message into an Error with field and line.
func (d *Document) describe(message string) *Error {
	if m := unknownField.FindStringSubmatch(message); m != nil {
		return d.errorAt(m[2], m[1]+" field: check its spelling and indentation")
	}
	if m := wrongType.FindStringSubmatch(message); m != nil {
		// Parts with a capital are embedded Go structs: nobody wrote them.
		path := slices.DeleteFunc(strings.Split(m[2], "."), func(part string) bool { return part != "" && part[0] < 'a' })
		e := d.errorAt(strings.Join(path, "."), "is written as "+written[m[1]]+", but must be "+plainType(m[3]))
		if node := find(d.tree(), path, m[1]); node != nil {
			e.Line = d.Line + node.Line - 1
		}
		return e
	}
	e := d.errorAt("", strings.TrimPrefix(strings.TrimPrefix(message, "error converting YAML to JSON: "), "yaml: "))
	if m := yamlLine.FindStringSubmatch(message); m != nil {
		line, _ := strconv.Atoi(m[1])
		e.Line, e.Message = d.Line+line-1, m[2]
	}
	return e
}

// errorAt is an Error at a field, with the line where that field, or the last of its parents that is there, begins.
func (d *Document) errorAt(field, message string) *Error {
	return &Error{
		File: d.File, Document: d.Index, Line: d.lineOf(field), Object: d.object(), Field: field, Message: message,
	}
}

func (d *Document) lineOf(field string) int {
	line, node := d.Line, d.tree()
	for _, step := range steps(field) {
		if node == nil {
			break
		}
		key, value := child(node, step)
		if key == nil {
			break
		}
		line, node = d.Line+key.Line-1, value
	}
	return line
}

// LineOf is the line in the file where a field is written, like "spec.rules[0]"; the line of the nearest parent that is there,
// if the field is not.
func (d *Document) LineOf(field string) int { return d.lineOf(field) }

// tree is the document with its lines; nil if it is no YAML.
func (d *Document) tree() *yaml.Node {
	var doc yaml.Node
	if err := yaml.Unmarshal(d.text, &doc); err != nil || len(doc.Content) == 0 {
		return nil
	}
	return doc.Content[0]
}

// steps cuts "spec.rules[0].name" into spec, rules, [0], name.
func steps(field string) []string {
	return strings.FieldsFunc(strings.ReplaceAll(field, "[", ".["), func(r rune) bool { return r == '.' })
}

// child finds a part of a mapping or sequence: the node where it begins and its value.
func child(node *yaml.Node, step string) (begin, value *yaml.Node) {
	if index, ok := strings.CutPrefix(step, "["); ok {
		i, err := strconv.Atoi(strings.TrimSuffix(index, "]"))
		if err != nil || node.Kind != yaml.SequenceNode || i < 0 || i >= len(node.Content) {
			return nil, nil
		}
		return node.Content[i], node.Content[i]
	}
	if node.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == step {
			return node.Content[i], node.Content[i+1]
		}
	}
	return nil, nil
}

// find looks for the first value under a path without indices that has the wrong type: the decoder tells the path only so.
func find(node *yaml.Node, path []string, wrong string) *yaml.Node {
	if node == nil {
		return nil
	}
	if node.Kind == yaml.SequenceNode && (len(path) > 0 || wrong != "array") {
		for _, item := range node.Content {
			if found := find(item, path, wrong); found != nil {
				return found
			}
		}
		return nil
	}
	if len(path) > 0 {
		_, value := child(node, path[0])
		return find(value, path[1:], wrong)
	}
	is := map[string]string{"!!str": "string", "!!int": "number", "!!float": "number", "!!bool": "bool", "!!map": "object", "!!seq": "array"}
	if is[node.ShortTag()] == wrong {
		return node
	}
	return nil
}

// plainType is a Go type as a reader of YAML knows it.
func plainType(goType string) string {
	goType = strings.TrimLeft(goType, "*")
	switch {
	case strings.HasPrefix(goType, "int"), strings.HasPrefix(goType, "uint"), strings.HasSuffix(goType, "PortNumber"):
		return "a whole number"
	case strings.HasPrefix(goType, "[]"):
		return "a list"
	case goType == "string":
		return "text"
	case goType == "bool":
		return "true or false"
	case strings.HasPrefix(goType, "map["), strings.Contains(goType, "."):
		return "an object with fields"
	}
	return goType
}
