package endpoint_test

import (
	"testing"

	"samsara.internal/gateway/internal/endpoint"
)

func TestFindPrefersLiteralSegments(t *testing.T) {
	t.Parallel()
	endpoints, err := load(t, `
service VehiclesService {
  rpc ListVehicles(ListVehiclesRequest) returns (ListVehiclesResponse) { @operation = {method: HTTP_METHOD_GET path: "/vehicles"}; }
  rpc GetVehicle(GetVehicleRequest) returns (GetVehicleResponse) { @operation = {method: HTTP_METHOD_GET path: "/vehicles/{id}"}; }
  rpc GetStats(GetStatsRequest) returns (GetStatsResponse) { @operation = {method: HTTP_METHOD_GET path: "/vehicles/stats"}; }
  rpc GetPart(GetPartRequest) returns (GetPartResponse) { @operation = {method: HTTP_METHOD_GET path: "/vehicles/{id}/parts"}; }
  rpc GetStat(GetStatRequest) returns (GetStatResponse) { @operation = {method: HTTP_METHOD_GET path: "/vehicles/stats/{id}"}; }
  rpc DeleteVehicle(DeleteVehicleRequest) returns (DeleteVehicleResponse) { @operation = {method: HTTP_METHOD_DELETE path: "/vehicles/{id}"}; }
}
message ListVehiclesRequest {}
message ListVehiclesResponse {}
message GetVehicleRequest { optional string id = 1 [@path]; }
message GetVehicleResponse {}
message GetStatsRequest {}
message GetStatsResponse {}
message GetPartRequest { optional string id = 1 [@path]; }
message GetPartResponse {}
message GetStatRequest { optional string id = 1 [@path]; }
message GetStatResponse {}
message DeleteVehicleRequest { optional string id = 1 [@path]; }
message DeleteVehicleResponse {}
`)
	if err != nil {
		t.Fatal(err)
	}
	for request, want := range map[[2]string]string{
		{"GET", "/vehicles"}:             "ListVehicles",
		{"GET", "/vehicles/1"}:           "GetVehicle",
		{"GET", "/vehicles/stats"}:       "GetStats",
		{"GET", "/vehicles/1/parts"}:     "GetPart",
		{"GET", "/vehicles/stats/1"}:     "GetStat",
		{"GET", "/vehicles/stats/parts"}: "GetStat",
		{"DELETE", "/vehicles/stats"}:    "DeleteVehicle",
		{"POST", "/vehicles"}:            "",
		{"GET", "/vehicles/"}:            "GetVehicle",
		{"GET", "/"}:                     "",
		{"GET", "/vehicles/1/parts/2"}:   "",
	} {
		got := ""
		if e := endpoint.Find(endpoints, request[0], request[1]); e != nil {
			got = string(e.Method.Name())
		}
		if got != want {
			t.Errorf("%s %s is for %q, want %q", request[0], request[1], got, want)
		}
	}
}
