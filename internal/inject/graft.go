package inject

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	kjson "sigs.k8s.io/json"
)

// ApplyJSON is Apply for a pod as JSON. Fields that this program's version of the pod API does not know stay where they
// are: a cluster newer than the injector must not lose them.
func ApplyJSON(raw []byte, s Settings) ([]byte, error) {
	var pod corev1.Pod
	// As API servers read it: encoding/json would take "initcontainers" for initContainers.
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &pod); err != nil {
		return nil, fmt.Errorf("decode the pod: %w", err)
	}
	injected, err := Apply(&pod, s)
	if err != nil {
		return nil, err
	}
	original, err := tree(raw)
	if err != nil {
		return nil, err
	}
	known, err := treeOf(&pod)
	if err != nil {
		return nil, err
	}
	out, err := treeOf(injected)
	if err != nil {
		return nil, err
	}
	return json.Marshal(graft(original, known, out))
}

func treeOf(pod *corev1.Pod) (any, error) {
	text, err := json.Marshal(pod)
	if err != nil {
		return nil, fmt.Errorf("encode the pod: %w", err)
	}
	return tree(text)
}

func tree(text []byte) (out any, err error) {
	if err := json.Unmarshal(text, &out); err != nil {
		return nil, fmt.Errorf("decode the pod: %w", err)
	}
	return out, nil
}

// graft adds to out what is in original and not in known, which is original as far as it was understood. Items of lists
// are found again by name, and where they have none by position.
func graft(original, known, out any) any {
	switch o := original.(type) {
	case map[string]any:
		k, ok1 := known.(map[string]any)
		to, ok2 := out.(map[string]any)
		if !ok1 || !ok2 {
			return out
		}
		for key, value := range o {
			understood, isKnown := k[key]
			there, isThere := to[key]
			switch {
			case !isKnown && !isThere:
				to[key] = value
			case isKnown && isThere:
				to[key] = graft(value, understood, there)
			}
		}
	case []any:
		k, ok1 := known.([]any)
		to, ok2 := out.([]any)
		if !ok1 || !ok2 || len(o) != len(k) {
			return out
		}
		for i, item := range o {
			if at := counterpart(item, i, to); at >= 0 {
				to[at] = graft(item, k[i], to[at])
			}
		}
	}
	return out
}

// counterpart finds an item of a list in another list, -1 when it is not there.
func counterpart(item any, position int, in []any) int {
	name, named := nameIn(item)
	if !named {
		if position < len(in) {
			return position
		}
		return -1
	}
	for i := range in {
		if other, ok := nameIn(in[i]); ok && other == name {
			return i
		}
	}
	return -1
}

func nameIn(item any) (string, bool) {
	m, ok := item.(map[string]any)
	if !ok {
		return "", false
	}
	name, ok := m["name"].(string)
	return name, ok
}
