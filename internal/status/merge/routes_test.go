package merge

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/status"
)

var (
	then = metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	now  = metav1.NewTime(time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC))
)

func parent(name string, conditions ...status.Condition) status.Parent {
	return status.Parent{Ref: status.ParentRef{Kind: "Service", Name: name}, Conditions: conditions}
}

func want(generation int64, parents ...status.Parent) status.Want {
	return status.Want{Kind: "HTTPRoute", Generation: generation, Parents: parents}
}

func entry(controller gatewayv1.GatewayController, name string, conditions ...metav1.Condition) gatewayv1.RouteParentStatus {
	ref := reference(status.ParentRef{Kind: "Service", Name: name})
	return gatewayv1.RouteParentStatus{ParentRef: ref, ControllerName: controller, Conditions: conditions}
}

func cond(kind string, s metav1.ConditionStatus, reason string, generation int64, at metav1.Time) metav1.Condition {
	return metav1.Condition{Type: kind, Status: s, Reason: reason, ObservedGeneration: generation, LastTransitionTime: at}
}

var (
	accepted = status.Condition{Type: status.TypeAccepted, Status: true, Reason: status.ReasonAccepted}
	refused  = status.Condition{Type: status.TypeAccepted, Reason: status.ReasonNoMatchingParent}
	partial  = status.Condition{Type: status.TypePartiallyInvalid, Status: true, Reason: status.ReasonUnsupportedValue}

	foreign = entry("example.org/gateway", "web", cond("Accepted", "True", "Accepted", 1, then))
)

func TestMerge(t *testing.T) {
	const us = status.ControllerName
	ours := entry(us, "web", cond("Accepted", "True", "Accepted", 1, then))
	tests := []struct {
		name     string
		existing []gatewayv1.RouteParentStatus
		want     status.Want
		merged   []gatewayv1.RouteParentStatus
		changed  bool
	}{
		{
			name: "nothing there, nothing wanted",
			want: want(1),
		},
		{
			name:    "the first time",
			want:    want(1, parent("web", accepted)),
			merged:  []gatewayv1.RouteParentStatus{entry(us, "web", cond("Accepted", "True", "Accepted", 1, now))},
			changed: true,
		},
		{
			name:     "the same again, in whatever order",
			existing: []gatewayv1.RouteParentStatus{ours, foreign},
			want:     want(1, parent("web", accepted)),
			merged:   []gatewayv1.RouteParentStatus{ours, foreign},
		},
		{
			name:     "a new generation keeps the time of transition",
			existing: []gatewayv1.RouteParentStatus{ours},
			want:     want(2, parent("web", accepted)),
			merged:   []gatewayv1.RouteParentStatus{entry(us, "web", cond("Accepted", "True", "Accepted", 2, then))},
			changed:  true,
		},
		{
			name:     "a transition",
			existing: []gatewayv1.RouteParentStatus{foreign, ours},
			want:     want(1, parent("web", refused)),
			merged:   []gatewayv1.RouteParentStatus{foreign, entry(us, "web", cond("Accepted", "False", "NoMatchingParent", 1, now))},
			changed:  true,
		},
		{
			name: "conditions of others stay, ours that are over go",
			existing: []gatewayv1.RouteParentStatus{entry(us, "web",
				cond("Accepted", "True", "Accepted", 1, then), cond("PartiallyInvalid", "True", "UnsupportedValue", 1, then),
				cond("UnknownFields", "True", "UnknownFields", 1, then), cond("example.org/Audited", "True", "Fine", 1, then))},
			want: want(1, parent("web", accepted)),
			merged: []gatewayv1.RouteParentStatus{entry(us, "web",
				cond("Accepted", "True", "Accepted", 1, then), cond("example.org/Audited", "True", "Fine", 1, then))},
			changed: true,
		},
		{
			name:     "a condition more",
			existing: []gatewayv1.RouteParentStatus{ours},
			want:     want(1, parent("web", accepted, partial)),
			merged: []gatewayv1.RouteParentStatus{entry(us, "web",
				cond("Accepted", "True", "Accepted", 1, then), cond("PartiallyInvalid", "True", "UnsupportedValue", 1, now))},
			changed: true,
		},
		{
			name:     "a parent that is not in the spec any more",
			existing: []gatewayv1.RouteParentStatus{foreign, entry(us, "old", cond("Accepted", "True", "Accepted", 1, then)), ours},
			want:     want(1, parent("web", accepted)),
			merged:   []gatewayv1.RouteParentStatus{foreign, ours},
			changed:  true,
		},
		{
			name:     "no parent of ours any more",
			existing: []gatewayv1.RouteParentStatus{foreign, ours},
			want:     want(1),
			merged:   []gatewayv1.RouteParentStatus{foreign},
			changed:  true,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			merged, changed := Parents(tt.existing, tt.want, now)
			if changed != tt.changed {
				t.Errorf("changed %v, want %v", changed, tt.changed)
			}
			if diff := cmp.Diff(tt.merged, merged); diff != "" {
				t.Errorf("merged (-want +got):\n%s", diff)
			}
			if again, changed := Parents(merged, tt.want, metav1.Now()); changed {
				t.Errorf("a second merge changes it again: %v", again)
			}
		})
	}
}

// TestUnknownFieldsGo: of objects whose other conditions always are there.
func TestUnknownFieldsGo(t *testing.T) {
	had := []metav1.Condition{cond("Accepted", "True", "Accepted", 1, then), cond("example.org/Audited", "True", "Fine", 1, then)}
	wanted := status.Want{Generation: 1, Conditions: []status.Condition{accepted}}
	class, gateway, set := &gatewayv1.GatewayClass{}, &gatewayv1.Gateway{}, &gatewayv1.ListenerSet{}
	for what, one := range map[string]struct {
		conditions *[]metav1.Condition
		merge      func() bool
	}{
		"GatewayClass": {&class.Status.Conditions, func() bool { return Class(class, wanted, now) }},
		"Gateway":      {&gateway.Status.Conditions, func() bool { return Gateway(gateway, wanted, now) }},
		"ListenerSet":  {&set.Status.Conditions, func() bool { return ListenerSet(set, wanted, now) }},
	} {
		*one.conditions = append(slices.Clone(had), cond("UnknownFields", "True", "UnknownFields", 1, then))
		if !one.merge() {
			t.Errorf("%s: no change", what)
		}
		if diff := cmp.Diff(had, *one.conditions); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
}

func TestReferencesAreTakenApartAsTheyArePutTogether(t *testing.T) {
	for _, ref := range []status.ParentRef{
		{Kind: "Service", Name: "web"},
		{Kind: "Service", Namespace: "shop", Name: "web", SectionName: "http", Port: 65535},
	} {
		if got := Ref(reference(ref)); got != ref {
			t.Errorf("got %+v, want %+v", got, ref)
		}
	}
}

func TestLongMessagesAreCutBetweenCharacters(t *testing.T) {
	got := condition(status.Condition{Message: "x" + strings.Repeat("é", maxMessage)}, 1, now).Message
	if len(got) > maxMessage || !utf8.ValidString(got) || !strings.HasSuffix(got, "é…") {
		t.Errorf("%d bytes, valid %v, end %q", len(got), utf8.ValidString(got), got[len(got)-6:])
	}
}

func TestWordsAreThoseOfTheSpecification(t *testing.T) {
	for ours, theirs := range map[string]any{
		status.TypeAccepted:              gatewayv1.RouteConditionAccepted,
		status.TypeResolvedRefs:          gatewayv1.RouteConditionResolvedRefs,
		status.TypePartiallyInvalid:      gatewayv1.RouteConditionPartiallyInvalid,
		status.ReasonNoMatchingParent:    gatewayv1.RouteReasonNoMatchingParent,
		status.ReasonUnsupportedValue:    gatewayv1.RouteReasonUnsupportedValue,
		status.ReasonIncompatibleFilters: gatewayv1.RouteReasonIncompatibleFilters,
		status.ReasonRefNotPermitted:     gatewayv1.RouteReasonRefNotPermitted,
		status.ReasonInvalidKind:         gatewayv1.RouteReasonInvalidKind,
		status.ReasonBackendNotFound:     gatewayv1.RouteReasonBackendNotFound,
		status.ReasonUnsupportedProtocol: gatewayv1.RouteReasonUnsupportedProtocol,
	} {
		if fmt.Sprint(theirs) != ours {
			t.Errorf("ours is %s, theirs %v", ours, theirs)
		}
	}
}
