package status

import "testing"

func TestUnknownFieldsSaysWhatToDo(t *testing.T) {
	for _, tc := range []struct {
		named []string
		more  int
		want  string
	}{
		{[]string{"spec.a"}, 0, "spec.a is not known to this version of Leno and has no effect: upgrade Leno, or remove the field"},
		{[]string{"spec.a", "spec.b"}, 0, "spec.a, spec.b are not known to this version of Leno and have no effect: upgrade Leno, or remove the fields"},
		{[]string{"spec.a", "spec.b"}, 7, "spec.a, spec.b and 7 more are not known to this version of Leno and have no effect: upgrade Leno, or remove the fields"},
	} {
		if got := UnknownFields(tc.named, tc.more); got.Message != tc.want || !got.Status || got.Type != "UnknownFields" || got.Reason != "UnknownFields" {
			t.Errorf("%v and %d: %+v", tc.named, tc.more, got)
		}
	}
}
