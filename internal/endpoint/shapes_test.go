package endpoint_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/transcode"
)

// TestShapes_counted counts in the descriptors what decides the shapes of the API. If a newer document
// changes the counts, change them here. The other tests of shapes hold for any document.
func TestShapes_counted(t *testing.T) {
	t.Parallel()
	endpoints, err := endpoint.Load(protoregistry.GlobalFiles, protoregistry.GlobalTypes)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, e := range endpoints {
		countOperation(got, e)
	}
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if strings.HasPrefix(string(file.Package()), "samsara_gateway.") {
			for i := range file.Services().Len() {
				methods := file.Services().Get(i).Methods()
				for i := range methods.Len() {
					got["methods "+idempotency(methods.Get(i)).String()]++
				}
			}
		}
		return true
	})
	want := map[string]int{
		"query parameters joined by commas": 195 + 122 + 1, // arrays, texts that hold a list, and one corrected
		"operations with such parameters":   125,           // 85 with arrays only
		"answers of 204":                    36,            // 7 had a field
		"requests' int32":                   75 + 3,        // all were int64; 3 are of corrections
		"requests' int32 limit":             69 + 3,
		"requests' int64":                   105,
		"streams":                           180,
		"streams with from_cursor":          180, // 27 follow
		"methods NO_SIDE_EFFECTS":           215 + 180,
		"methods IDEMPOTENT":                45,
		"methods IDEMPOTENCY_UNKNOWN":       127 + 1, // and PassthroughService.Call
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

// countOperation counts the fields and messages of one operation and its streams.
func countOperation(counts map[string]int, e *endpoint.Endpoint) {
	commas := 0
	for _, fd := range e.QueryFields {
		if transcode.FieldOptions(fd).GetArrayStyle() == apiv1.ArrayStyle_ARRAY_STYLE_COMMA {
			counts["query parameters joined by commas"]++
			commas++
		}
	}
	if commas > 0 {
		counts["operations with such parameters"]++
	}
	input := e.Method.Input().Fields()
	for i := range input.Len() {
		if fd := input.Get(i); fd.Kind() == protoreflect.Int32Kind || fd.Kind() == protoreflect.Int64Kind {
			counts["requests' "+fd.Kind().String()]++
			if fd.Name() == "limit" {
				counts["requests' "+fd.Kind().String()+" limit"]++
			}
		}
	}
	answer := e.Method.Output().Fields()
	for i := range answer.Len() {
		if answer.Get(i).Kind() == protoreflect.Int32Kind {
			counts["answers' int32"]++
		}
	}
	if e.Operation.GetSuccessStatus() == 204 {
		counts["answers of 204"]++
		if answer.Len() > 0 {
			counts["answers of 204 with fields"]++
		}
	}
	for _, s := range e.Streams {
		counts["streams"]++
		options := s.Method.Input().Fields().ByName("options").Message()
		if options.Fields().ByName("from_cursor") != nil {
			counts["streams with from_cursor"]++
		}
	}
}

// TestShapes_otherNames lists the members that answers have under several names. A request has none: it is
// sent under the name in the operation's own schema. So look at a message that has come to be in both a
// request and an answer.
func TestShapes_otherNames(t *testing.T) {
	t.Parallel()
	endpoints, err := endpoint.Load(protoregistry.GlobalFiles, protoregistry.GlobalTypes)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	var seen map[protoreflect.FullName]bool
	var walk func(md protoreflect.MessageDescriptor, in map[string][]string)
	walk = func(md protoreflect.MessageDescriptor, in map[string][]string) {
		if seen[md.FullName()] {
			return
		}
		seen[md.FullName()] = true
		for i := range md.Fields().Len() {
			fd := md.Fields().Get(i)
			if names := transcode.FieldOptions(fd).GetOtherNames(); len(names) > 0 {
				in[string(fd.FullName())] = append([]string{transcode.WireName(fd)}, names...)
			}
			if fd.Message() != nil {
				walk(fd.Message(), in)
			}
		}
	}
	for _, e := range endpoints {
		sent := map[string][]string{}
		seen = map[protoreflect.FullName]bool{}
		walk(e.Method.Input(), sent)
		if len(sent) > 0 {
			t.Errorf("%s sends what has several names: %v", e.FullMethod, sent)
		}
		seen = map[protoreflect.FullName]bool{}
		walk(e.Method.Output(), found)
	}
	const types = "samsara_gateway.types.v1."
	lower, upper := []string{"externalIds", "ExternalIds"}, []string{"ExternalIds", "externalIds"}
	want := map[string][]string{
		"samsara_gateway.carrier_proposed_assignments.v1.CarrierProposedAssignmentVehicle.external_ids": lower,
		types + "DefectVehicle.external_ids":                  lower,
		types + "DvirTrailerDefectsItemsVehicle.external_ids": upper,
		types + "DvirVehicle.external_ids":                    lower,
		types + "VehicleTiny.external_ids":                    lower,
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("members with several names (-want +got):\n%s", diff)
	}
}

// idempotency is what a method says about its idempotency.
func idempotency(method protoreflect.MethodDescriptor) descriptorpb.MethodOptions_IdempotencyLevel {
	options, _ := method.Options().(*descriptorpb.MethodOptions)
	return options.GetIdempotencyLevel()
}

// TestShapes_idempotency compares what each method says about its idempotency with the annotation.
func TestShapes_idempotency(t *testing.T) {
	t.Parallel()
	endpoints, err := endpoint.Load(protoregistry.GlobalFiles, protoregistry.GlobalTypes)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range endpoints {
		want := descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN
		switch {
		case e.HTTPMethod == "GET", e.HTTPMethod == "POST" && e.Operation.GetRepeatable():
			want = descriptorpb.MethodOptions_NO_SIDE_EFFECTS
		case e.HTTPMethod == "PUT", e.HTTPMethod == "DELETE":
			want = descriptorpb.MethodOptions_IDEMPOTENT
		}
		if got := idempotency(e.Method); got != want {
			t.Errorf("%s %s: %s says %s, want %s", e.HTTPMethod, e.Operation.GetPath(), e.FullMethod, got, want)
		}
		for _, s := range e.Streams {
			if got := idempotency(s.Method); got != descriptorpb.MethodOptions_NO_SIDE_EFFECTS {
				t.Errorf("%s says %s, want NO_SIDE_EFFECTS", s.FullMethod, got)
			}
		}
	}
}

// TestShapes_streamOptions checks that counts of pages and records fit into a JavaScript number.
func TestShapes_streamOptions(t *testing.T) {
	t.Parallel()
	for _, m := range []proto.Message{&apiv1.StreamOptions{}, &apiv1.FollowOptions{}, &apiv1.Failure{}} {
		fields := m.ProtoReflect().Descriptor().Fields()
		for i := range fields.Len() {
			if fd := fields.Get(i); fd.Kind() == protoreflect.Int64Kind {
				t.Errorf("%s is %s, want int32", fd.FullName(), fd.Kind())
			}
		}
	}
}
