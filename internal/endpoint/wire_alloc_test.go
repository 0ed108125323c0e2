//go:build !race

package endpoint_test

import (
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"samsara.internal/gateway/internal/endpoint"
)

// The race detector itself allocates.
func TestBindWire_allocations(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts for the whole process
	all := surface(t)
	tests := map[string]struct {
		method, path, request string
		most                  float64
	}{
		"a read":  {"GET", "/fleet/vehicles/stats", `{"types": ["gps", "engineStates"], "after": "MjkY2", "tagIds": ["1", "2"]}`, 10},
		"a write": {"PATCH", "/fleet/routes/{id}", `{"id": "17", "name": "Route", "notes": "by the river", "stops": [{"name": "one", "singleUseLocation": {"latitude": 37.5, "longitude": -122.25, "address": "1 Main St"}}]}`, 5},
	}
	for name, test := range tests { //nolint:paralleltest // see above
		t.Run(name, func(t *testing.T) { //nolint:paralleltest // see above
			e := endpoint.Find(all, test.method, test.path)
			m := e.Input.New().Interface()
			if err := protojson.Unmarshal([]byte(test.request), m); err != nil {
				t.Fatal(err)
			}
			wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			count := func(bind func() error) float64 {
				return testing.AllocsPerRun(100, func() {
					if err := bind(); err != nil {
						t.Fatal(err)
					}
				})
			}
			quick := count(func() error {
				_, err := e.BindWire(wire)
				return err
			})
			slow := count(func() error {
				m := e.Input.New()
				if err := proto.Unmarshal(wire, m.Interface()); err != nil {
					return err
				}
				_, err := e.Bind(m)
				return err
			})
			t.Logf("%v allocations, %v over a message", quick, slow)
			if quick > test.most {
				t.Errorf("allocations = %v, want at most %v", quick, test.most)
			}
		})
	}
}
