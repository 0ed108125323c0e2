package sandbox_test

import (
	"slices"
	"testing"

	gatewayv1 "samsara.internal/gateway/gen/samsara/gateway/v1"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/sandbox"
)

// maxReplyBytes is how large a reply may be, so that a page is no burden to a test.
const maxReplyBytes = 50_000

func TestEveryOperationAnswersWhatItDeclaresAndTheSameForASeed(t *testing.T) {
	t.Parallel()
	all := endpoints(t)
	// What is deleted cannot be read any more.
	slices.SortStableFunc(all, func(a, b *endpoint.Endpoint) int { return deletesLast(a) - deletesLast(b) })
	for _, full := range []bool{false, true} {
		one, other := serve(t, nil), serve(t, nil)
		for _, e := range all {
			op, x := e.Operation, requestFor(e, full)
			got, again := one.call(t, x.line, x.body), other.call(t, x.line, x.body)
			if got.status != int(op.GetSuccessStatus()) {
				t.Errorf("%s %s = %d %s, want %d", x.line, x.body, got.status, got.text, op.GetSuccessStatus())
				continue
			}
			if again.text != got.text || again.header.Get("Request-Id") != got.header.Get("Request-Id") {
				t.Errorf("%s = %s, elsewhere %s, want the same", x.line, got.text, again.text)
			}
			if len(got.text) > maxReplyBytes {
				t.Errorf("%s = %d bytes, want at most %d", x.line, len(got.text), maxReplyBytes)
			}
			if empty := op.GetSuccessStatus() == 204 || e.Method.Output().Fields().Len() == 0; empty != (got.text == "") {
				t.Errorf("%s = %q, want a body: %t", x.line, got.text, !empty)
			} else if !empty {
				if err := matches(e.Method.Output(), decode(t, got.text), op.GetId()); err != nil {
					t.Errorf("%s: %v", x.line, err)
				}
			}
		}
	}
}

func deletesLast(e *endpoint.Endpoint) int {
	if e.Operation.GetMethod() == gatewayv1.HttpMethod_HTTP_METHOD_DELETE {
		return 1
	}
	return 0
}

func TestNewNamesEveryMistake(t *testing.T) {
	t.Parallel()
	_, err := sandbox.New(sandbox.Config{})
	if err == nil || err.Error() != "token: must not be empty" {
		t.Errorf("New(no token) = %v", err)
	}
}
