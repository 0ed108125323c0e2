package upstream_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/upstream"
)

func TestOperation_cacheTTL(t *testing.T) {
	t.Parallel()
	_, decoder := thing(t)
	var asked []string
	client, err := upstream.New(upstream.Config{
		BaseURL: mustURL(t, "http://nowhere.test"), Token: upstream.StaticToken(testToken),
		CacheBytes: 1 << 20,
		CacheTTL: func(method string) time.Duration {
			asked = append(asked, method)
			return time.Minute
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	e := &endpoint.Endpoint{FullMethod: "/a.B/Get", HTTPMethod: "GET", Operation: new(apiv1.Operation), Response: decoder}
	for _, spec := range []upstream.OperationSpec{
		{Endpoint: e}, {Endpoint: e, Pages: true}, {Endpoint: e, Passthrough: true}, {},
	} {
		if _, err := client.Operation(spec); err != nil {
			t.Errorf("Operation(%+v): %v", spec, err)
		}
	}
	if diff := cmp.Diff([]string{"/a.B/Get"}, asked); diff != "" {
		t.Errorf("asked for the TTL of (-want +got):\n%s", diff)
	}
}

func TestOperation_passthroughRepeatsByMethod(t *testing.T) {
	t.Parallel()
	for method, attempts := range map[string]int{"GET": 4, "PUT": 4, "DELETE": 4, "POST": 1, "PATCH": 1} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client := newServer(t, answer(502, "")).client()
				op, err := client.Operation(upstream.OperationSpec{Passthrough: true})
				if err != nil {
					t.Fatal(err)
				}
				resp, err := client.Client.Do(t.Context(), op, upstream.Request{Method: method, Path: "/x"})
				failed := failure(t, resp, err)
				wantVerdict(t, failed, codes.Unavailable, "BAD_GATEWAY", attempts)
				if failed.Method != method || failed.Template != upstream.PassthroughOperation {
					t.Errorf("the error is about %s %s, want %s %s", failed.Method, failed.Template, method, upstream.PassthroughOperation)
				}
			})
		})
	}
}
