package surface

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	gatewayv1 "samsara.internal/gateway/gen/samsara/gateway/v1"
)

// A method that calls another path than it did is moved, and goes on working.
func TestComparison_anotherPath(t *testing.T) {
	t.Parallel()
	was := &gatewayv1.Operation{Id: "getThing", Method: gatewayv1.HttpMethod_HTTP_METHOD_GET, Path: "/things"}
	is := &gatewayv1.Operation{Id: "getThing", Method: gatewayv1.HttpMethod_HTTP_METHOD_POST, Path: "/goods"}
	var c comparison
	c.annotation("things.GetThing", was, was)
	c.annotation("things.GetThing", was, is)
	want := []Change{{Structural, "operation moved", "things.GetThing", "calls POST /goods, called GET /things"}}
	if diff := cmp.Diff(want, c.changes); diff != "" {
		t.Errorf("changes (-want +have):\n%s", diff)
	}
	if kind := c.changes[0].kind(); kind != kindMoved {
		t.Errorf("kind %s, want %s", kind, kindMoved)
	}
}
