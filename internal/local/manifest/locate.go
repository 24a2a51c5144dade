package manifest

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/runtime"
)

var (
	yamlLine     = regexp.MustCompile(`^yaml: line (\d+): `)
	unknownField = regexp.MustCompile(`unknown field "([^"]+)"`)
	doubleField  = regexp.MustCompile(`(?:duplicate field "([^"]+)"|key "([^"]+)" already set in map)`)
	wrongType    = regexp.MustCompile(`cannot unmarshal (\S+(?: \S+)?) into Go struct field \w+\.(\S+) of type (\S+)`)
	// embedded is the name of an embedded Go struct in a path: users do not write it.
	embedded = regexp.MustCompile(`\b[A-Z]\w*\.`)
)

// syntaxProblem is a text that is not YAML.
func syntaxProblem(err error) Problem {
	message := err.Error()
	line := 1
	if found := yamlLine.FindStringSubmatch(message); found != nil {
		line, _ = strconv.Atoi(found[1]) // digits, as matched
		message = strings.TrimPrefix(message, found[0])
	}
	return Problem{Line: line, Message: "not YAML: " + strings.TrimPrefix(message, "yaml: ")}
}

// decodeProblems reads the decoder's errors for the field that each is about.
func decodeProblems(err error, top *yamlv3.Node) []Problem {
	errs := []error{err}
	if strict, ok := runtime.AsStrictDecodingError(err); ok {
		errs = strict.Errors()
	}
	var problems []Problem
	for _, e := range errs {
		problems = append(problems, decodeProblem(e, top))
	}
	return problems
}

func decodeProblem(err error, top *yamlv3.Node) Problem {
	message := err.Error()
	if found := unknownField.FindStringSubmatch(message); found != nil {
		return Problem{Line: lineOf(top, found[1]), Field: found[1], Message: "unknown field"}
	}
	if found := doubleField.FindStringSubmatch(message); found != nil {
		field := found[1] + found[2]
		return Problem{Line: lineOf(top, field), Field: field, Message: "written twice"}
	}
	if found := wrongType.FindStringSubmatch(message); found != nil {
		path := embedded.ReplaceAllString(found[2], "")
		line, _ := follow(top, step.FindAllString(path, -1), func(leaf *yamlv3.Node) bool { return jsonName(leaf) == found[1] })
		return Problem{Line: line, Field: path, Message: found[1] + " where " + typeName(found[3]) + " is expected"}
	}
	if inner := errors.Unwrap(err); inner != nil {
		message = inner.Error()
	}
	return Problem{Line: top.Line, Message: strings.TrimPrefix(message, "json: ")}
}

// typeName says a Go type in the words of YAML.
func typeName(goType string) string {
	switch base := goType[strings.LastIndex(goType, ".")+1:]; {
	case strings.HasPrefix(goType, "[]"):
		return "a list"
	case strings.HasPrefix(base, "int"), strings.HasPrefix(base, "uint"), base == "PortNumber":
		return "a number"
	case base == "bool":
		return "true or false"
	case base == "string", strings.HasSuffix(base, "Name"), strings.HasSuffix(base, "Type"):
		return "a string"
	default:
		return base
	}
}

var step = regexp.MustCompile(`[^.\[\]]+|\[\d+\]`)

// lineOf finds the line of a field, or of the deepest part of its path that is there. Steps into lists without an index
// (the decoder leaves them out) take the first element that has the rest.
func lineOf(node *yamlv3.Node, path string) int {
	line, _ := follow(node, step.FindAllString(path, -1), func(*yamlv3.Node) bool { return true })
	return line
}

// jsonName is what the decoder calls a node's type.
func jsonName(node *yamlv3.Node) string {
	switch {
	case node.Kind == yamlv3.SequenceNode:
		return "array"
	case node.Kind == yamlv3.MappingNode:
		return "object"
	case node.Tag == "!!str":
		return "string"
	case node.Tag == "!!bool":
		return "bool"
	default:
		return "number"
	}
}

func follow(node *yamlv3.Node, steps []string, accept func(leaf *yamlv3.Node) bool) (line int, all bool) {
	if len(steps) == 0 {
		return node.Line, accept(node)
	}
	line = node.Line
	switch node.Kind {
	case yamlv3.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == steps[0] {
				line, all = follow(node.Content[i+1], steps[1:], accept)
				if len(steps) == 1 {
					line = node.Content[i].Line
				}
				return line, all
			}
		}
	case yamlv3.SequenceNode:
		if index, err := strconv.Atoi(strings.Trim(steps[0], "[]")); err == nil && strings.HasPrefix(steps[0], "[") {
			if index < len(node.Content) {
				return follow(node.Content[index], steps[1:], accept)
			}
			return line, false
		}
		for _, element := range node.Content {
			if found, complete := follow(element, steps, accept); complete {
				return found, true
			}
		}
	case yamlv3.DocumentNode, yamlv3.ScalarNode, yamlv3.AliasNode: // nothing is below them that a path could name
	}
	return line, false
}
