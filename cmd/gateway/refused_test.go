package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	vehiclesv1 "samsara.internal/gateway/gen/vehicles/v1"
)

// series returns how many series a metric has.
func series(t *testing.T, admin, name string) int {
	t.Helper()
	_, text := get(t, "http://"+admin+"/metrics", "")
	return strings.Count("\n"+text, "\n"+name+"{")
}

// TestUnknownMethod_loggedAndCounted calls many methods that do not exist.
func TestUnknownMethod_loggedAndCounted(t *testing.T) {
	t.Parallel()
	p, at := startSandboxed(t)
	conn := connect(t, at.GRPC, insecure.NewCredentials())
	before := series(t, at.Admin, "samsara_gateway_calls_total")
	const calls = 300
	for i := range calls {
		method := fmt.Sprintf("/samsara_gateway.nope%d.v1.NopeService/Nope", i)
		if i%2 == 0 {
			method = fmt.Sprintf("/samsara_gateway.vehicles.v1.VehiclesService/Nope%d", i)
		}
		err := conn.Invoke(t.Context(), method, new(emptypb.Empty), new(emptypb.Empty))
		if status.Code(err) != codes.Unimplemented || verdictOf(err).reason != "REQUEST_METHOD_UNKNOWN" {
			t.Fatalf("%s: got %v, reason %q, want Unimplemented, REQUEST_METHOD_UNKNOWN", method, err, verdictOf(err).reason)
		}
	}
	eventually(t, "all calls are counted", func() bool { // They are counted after the answer was sent.
		return metric(t, at.Admin, "samsara_gateway_calls_total", `operation="unknown"`, `code="Unimplemented"`) == calls
	})
	if after := series(t, at.Admin, "samsara_gateway_calls_total"); after != before+1 {
		t.Errorf("there are %d series, and were %d, want one more", after, before)
	}
	_, text, _ := p.log()
	if !strings.Contains(text, "samsara_gateway.vehicles.v1.VehiclesService/Nope0") {
		t.Errorf("the first unknown method is not in the log:\n%s", text)
	}
	lines, _, _ := p.log()
	if n := count(lines, "call refused", codes.Unimplemented); n < 1 || n > calls/3 {
		t.Errorf("%d lines were logged of %d calls, want ten a second", n, calls)
	}
}

// TestRefused_loggedAndCounted makes calls that the gateway refuses without an upstream request.
func TestRefused_loggedAndCounted(t *testing.T) {
	t.Parallel()
	p, at := startSandboxed(t, "--max-request-bytes=4KiB")
	client := vehiclesv1.NewVehiclesServiceClient(connect(t, at.GRPC, insecure.NewCredentials()))
	odd := metadata.AppendToOutgoingContext(t.Context(), "samsara-retry", "maybe")
	large := &vehiclesv1.GetVehicleRequest{Id: proto.String(strings.Repeat("1", 8<<10))}

	_, err := client.GetVehicle(odd, &vehiclesv1.GetVehicleRequest{Id: proto.String("7")})
	if status.Code(err) != codes.InvalidArgument || verdictOf(err).reason != "REQUEST_INVALID_ARGUMENT" {
		t.Errorf("refused metadata: got %v, reason %q", err, verdictOf(err).reason)
	}
	stream, err := client.StreamVehicles(odd, &vehiclesv1.StreamVehiclesRequest{})
	if err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.InvalidArgument || verdictOf(err).reason != "REQUEST_INVALID_ARGUMENT" {
		t.Errorf("refused metadata of a stream: got %v, reason %q", err, verdictOf(err).reason)
	}
	if _, err = client.GetVehicle(t.Context(), large); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a large request: got %v", err)
	}
	answer, err := rawCall(t, at.GRPC, vehiclesv1.VehiclesService_GetVehicle_FullMethodName, http.Header{}, framed(false, []byte{0xff}))
	if err != nil || answer.code != codes.Internal {
		t.Errorf("a malformed request: %v, got %v, want Internal", err, answer.code)
	}
	answer, err = rawCall(t, at.GRPC, vehiclesv1.VehiclesService_GetVehicle_FullMethodName, gzipHeader, framed(true, []byte("no gzip")))
	if err != nil || answer.code != codes.Internal {
		t.Errorf("a request that does not decompress: %v, got %v, want Internal", err, answer.code)
	}
	answer, err = rawCall(t, at.GRPC, vehiclesv1.VehiclesService_GetVehicle_FullMethodName, gzipHeader, nil)
	if err != nil || answer.code != codes.Internal {
		t.Errorf("a call without a request: %v, got %v, want Internal", err, answer.code)
	}
	for _, want := range []struct {
		method string
		code   codes.Code
		calls  int
	}{
		{"GetVehicle", codes.InvalidArgument, 1},
		{"StreamVehicles", codes.InvalidArgument, 1},
		{"GetVehicle", codes.ResourceExhausted, 1},
		{"GetVehicle", codes.Internal, 3},
	} {
		labels := []string{`/` + want.method + `"`, `code="` + want.code.String() + `"`}
		if sum := metric(t, at.Admin, "samsara_gateway_calls_total", labels...); sum != float64(want.calls) {
			t.Errorf("%s %v: %v calls were counted, want %d", want.method, want.code, sum, want.calls)
		}
	}
	lines, text, _ := p.log()
	for code, calls := range map[codes.Code]int{codes.InvalidArgument: 2, codes.ResourceExhausted: 1, codes.Internal: 3} {
		if got := count(lines, "call finished", code); got != calls {
			t.Errorf("%v: %d lines were logged, want %d:\n%s", code, got, calls, text)
		}
	}
}
