package endpoint_test

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"

	"samsara.internal/gateway/internal/endpoint"
)

func TestFind_literalSegmentsFirst(t *testing.T) {
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

func TestFill_fieldsOfThePath(t *testing.T) {
	t.Parallel()
	endpoints, err := load(t, `
service PartsService {
  rpc GetPart(GetPartRequest) returns (GetPartResponse) { @operation = {method: HTTP_METHOD_GET path: "/parts/{id}/of/{number}"}; }
}
message GetPartRequest {
  optional string id = 1 [@path];
  optional int64 number = 2 [@path];
}
message GetPartResponse {}
`)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ request, path, want, refused string }{
		"fields":                 {``, "/parts/a%2Fb%20c/of/7", "/parts/a%2Fb%20c/of/7", ""},
		"a template":             {`id: "x" number: 1`, "/parts/%7Bid%7D/of/{number}", "/parts/x/of/1", ""},
		"the same values":        {`id: "x" number: 7`, "/parts/x/of/7", "/parts/x/of/7", ""},
		"other values":           {`id: "x" number: 8`, "/parts/y/of/7", "", `id: is "x", must be unset or what the path has: "y"; number: is "8", must be unset or what the path has: "7"`},
		"a word for a number":    {``, "/parts/y/of/seven", "", `number: is "seven" in the path, must be int64`},
		"dots are Bind's affair": {``, "/parts/../of/7", "", `id: is "..", must be neither empty nor a path segment of dots`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := endpoints[0].Input.New()
			if err := prototext.Unmarshal([]byte(test.request), m.Interface()); err != nil {
				t.Fatal(err)
			}
			var bound endpoint.Request
			err := endpoints[0].Fill(m, test.path)
			if err == nil {
				bound, err = endpoints[0].Bind(m)
			}
			var refused *endpoint.ArgumentError
			switch {
			case errors.As(err, &refused):
				if refused.Error() != test.refused {
					t.Errorf("is refused: %v, want %q", err, test.refused)
				}
			case err != nil || bound.Path != test.want:
				t.Errorf("%s: %q and %v, want %q", test.path, bound.Path, err, test.want)
			}
		})
	}
}
