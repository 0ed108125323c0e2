package testproto_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/testproto"
)

func TestCompile_generatedOptions(t *testing.T) {
	t.Parallel()
	md := testproto.Message(t, `
		syntax = "proto3";
		package samsara_gateway.test.v1;
		import "google/protobuf/struct.proto";
		import "samsara_gateway/api/v1/annotations.proto";
		message Reading {
			optional string engine_id = 1 [json_name = "EngineID", (samsara_gateway.api.v1.field) = {name: "EngineID", required: true}];
			google.protobuf.Value value = 2;
		}`, "Reading")

	field := md.Fields().ByName("engine_id")
	got := proto.GetExtension(field.Options(), apiv1.E_Field)
	want := &apiv1.Field{Name: "EngineID", Required: true}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("option of engine_id (-want +got):\n%s", diff)
	}
	if got, want := string(md.Fields().ByName("value").Message().FullName()), "google.protobuf.Value"; got != want {
		t.Errorf("type of value = %s, want %s", got, want)
	}
}
