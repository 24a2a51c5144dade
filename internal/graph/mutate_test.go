package graph_test

import (
	"math/rand/v2"
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/leno-mesh/leno/internal/snapshot"
)

// nasty are texts that somebody will write one day.
var nasty = []string{
	"", " ", "/", "//", "*", "[", "(?=a)", "a{1001}", "\x00", "\r\nx: y", "ü", "0", "-1", "1.5s", "99999h", "10.0.0.1", "::", "fe80::1%eth0",
	"::ffff:10.0.0.1", "default", "shop", "catalog", "echo", "gateway-conformance-mesh", "Service", "HTTPRoute", "http", "tcp-x",
	"RequestRedirect", "URLRewrite", "RequestMirror", "ReplacePrefixMatch", "RegularExpression", "Exact", strings.Repeat("x", 5000),
}

var numbers = []int64{0, 1, -1, 80, 443, 65535, 65536, 70000, 1 << 31, -1 << 31}

// mutate changes one to a few places of a copy of an object: values, absent and repeated parts.
func mutate(r *rand.Rand, obj snapshot.Object) snapshot.Object {
	out := runtime.Object(obj).DeepCopyObject().(snapshot.Object)
	name, namespace := out.GetName(), out.GetNamespace()
	for range 1 + r.IntN(4) {
		change(r, reflect.ValueOf(out).Elem(), 0)
	}
	if name != "" { // the API server refuses an object without a name
		out.SetName(name)
		out.SetNamespace(namespace)
	}
	return out
}

// change walks down to a random place and changes it.
func change(r *rand.Rand, v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Struct:
		if v.NumField() == 0 {
			return
		}
		i := r.IntN(v.NumField())
		if spec := v.FieldByName("Spec"); depth == 0 && spec.IsValid() && r.IntN(4) > 0 {
			change(r, spec, 1)
		} else if v.Type().Field(i).IsExported() {
			change(r, v.Field(i), depth+1)
		}
	case reflect.Pointer:
		switch {
		case v.IsNil():
			v.Set(reflect.New(v.Type().Elem()))
			change(r, v.Elem(), depth+1)
		case r.IntN(4) == 0:
			v.SetZero()
		default:
			change(r, v.Elem(), depth+1)
		}
	case reflect.Slice:
		changeSlice(r, v, depth)
	case reflect.Map:
		if v.Type().Key().Kind() == reflect.String && v.Type().Elem().Kind() == reflect.String {
			if v.IsNil() {
				v.Set(reflect.MakeMap(v.Type()))
			}
			v.SetMapIndex(text(r).Convert(v.Type().Key()), text(r).Convert(v.Type().Elem()))
		}
	case reflect.String:
		v.SetString(text(r).String())
	case reflect.Int, reflect.Int32, reflect.Int64:
		n := numbers[r.IntN(len(numbers))]
		if !v.OverflowInt(n) {
			v.SetInt(n)
		}
	case reflect.Bool:
		v.SetBool(!v.Bool())
	}
}

func changeSlice(r *rand.Rand, v reflect.Value, depth int) {
	n := v.Len()
	switch {
	case n == 0 || r.IntN(5) == 0:
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
		change(r, v.Index(n), depth+1)
	case r.IntN(5) == 0:
		v.Set(reflect.Append(v, v.Index(r.IntN(n))))
	case r.IntN(8) == 0:
		v.SetLen(n - 1)
	default:
		change(r, v.Index(r.IntN(n)), depth+1)
	}
}

func text(r *rand.Rand) reflect.Value { return reflect.ValueOf(nasty[r.IntN(len(nasty))]) }
