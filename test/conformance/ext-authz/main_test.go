package main

import (
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/codes"
)

func TestCheck(t *testing.T) {
	check := func(path, user string) *authv3.CheckResponse {
		t.Helper()
		answer, err := authorizer{}.Check(t.Context(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
			Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{Path: path, Headers: map[string]string{"x-user": user}}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	denied := check("/denied/path", "ann")
	if denied.Status.Code != int32(codes.PermissionDenied) || denied.GetDeniedResponse().GetHeaders()[0].Header.Value != "/denied/path" {
		t.Errorf("a path below /denied: %v", denied)
	}
	allowed := check("/", "ann")
	if allowed.Status.Code != int32(codes.OK) || allowed.GetOkResponse().GetHeaders()[0].Header.Value != "ann" {
		t.Errorf("another path: %v", allowed)
	}
}
