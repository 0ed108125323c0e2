package endpoint_test

import (
	"strings"
	"testing"
)

func TestRequiresResponse_everyForm(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		response string
		want     bool
		data     bool // an empty data counts as empty
	}{
		"nothing":                      {``, false, false},
		"an optional member":           {`optional string id = 1;`, false, false},
		"a required member":            {`optional string id = 1; optional string name = 2 [@required];`, true, false},
		"a member that was required":   {`optional string id = 1 [@required, @retired]; optional int64 id_v2 = 2 [@name = "id"];`, false, false},
		"one that some require":        {`optional string id = 1 [(.samsara_gateway.api.v1.field).answered = true];`, true, false},
		"an envelope":                  {`Loose data = 1;`, true, false},
		"an envelope of some required": {`Strict data = 1;`, true, true},
		"an envelope that was one":     {`Strict data = 1 [@retired];`, false, false},
		"an envelope of a list":        {`repeated Strict data = 1;`, true, false},
		"a list of pages":              {`repeated Strict items = 1; Strict pagination = 2;`, true, false},
		"a list":                       {`repeated Strict items = 1;`, false, false},
		"a message that requires some": {`Strict item = 1;`, true, false},
		"a message that requires none": {`Loose item = 1;`, false, false},
		"a message within itself":      {`Round item = 1;`, false, false},
		"a map":                        {`map<string, Strict> items = 1;`, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			endpoints, err := load(t, strings.Replace(`
				service S { rpc Get(R) returns (A) { @operation = {method: HTTP_METHOD_GET, path: "/zones"}; } }
				message R {}
				message A { RESPONSE }
				message Strict { optional string id = 1 [@required]; }
				message Loose { optional string id = 1; Loose data = 2; }
				message Round { Round round = 1; }`, "RESPONSE", test.response, 1))
			if err != nil {
				t.Fatal(err)
			}
			if got := endpoints[0].RequiresResponse; got != test.want {
				t.Errorf("a response with %q requires some: %t, want %t", test.response, got, test.want)
			}
			if got := endpoints[0].RequiresData; got != test.data {
				t.Errorf("a response with %q requires some in data: %t, want %t", test.response, got, test.data)
			}
		})
	}
}
