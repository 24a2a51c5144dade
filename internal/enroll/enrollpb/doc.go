// Package enrollpb is enrolment on the wire: enroll.proto, and what protoc-gen-go and protoc-gen-go-grpc made of it.
package enrollpb
