package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	tagsv1 "samsara.internal/gateway/gen/tags/v1"
)

// TestDrift_countedOncePerAnswer has callers share an answer that differs from its message. Each caller is
// told the drift, and it is counted once.
func TestDrift_countedOncePerAnswer(t *testing.T) {
	t.Parallel()
	const callers = 4
	for name, test := range map[string]struct {
		answer, want string
		call         answerTo
	}{
		"unary": {answer: `{"data": {"id": "1", "new": 1}}`, want: "Tag.new=unknown", call: getATag},
		"stream": {
			answer: `{"data": [{"id": "1", "new": 1}], "pagination": {"endCursor": "", "hasNextPage": false}}`, want: "Tag.new=unknown",
			call: func(ctx context.Context, conn *grpc.ClientConn) (proto.Message, string, error) {
				stream, err := tags(conn).StreamTags(ctx, &tagsv1.StreamTagsRequest{})
				for err == nil {
					_, err = stream.Recv()
				}
				if !errors.Is(err, io.EOF) {
					return nil, "", err
				}
				return nil, strings.Join(stream.Trailer().Get("samsara-drift"), "|"), nil
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int64
			answer := make(chan struct{})
			conn, at := connectBefore(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				select {
				case <-answer:
				case <-r.Context().Done():
				}
				answerWith(http.StatusOK, test.answer)(w, r)
			}), "--quota=false")
			var running sync.WaitGroup
			for range callers {
				running.Go(func() {
					if _, drift, err := test.call(waiting(t), conn); err != nil || drift != test.want {
						t.Errorf("got drift %q, %v, want %q", drift, verdictOf(err), test.want)
					}
				})
			}
			eventually(t, "all calls run, and one has asked", func() bool {
				return metric(t, at.Admin, "samsara_gateway_running_calls") == callers && asked.Load() > 0
			})
			close(answer)
			running.Wait()
			answers := asked.Load()
			if shared := metric(t, at.Admin, "samsara_gateway_reads_total", `source="shared"`); shared != float64(callers-answers) {
				t.Errorf("%v reads were shared, want %d of %d", shared, callers-answers, callers)
			}
			if counted := metric(t, at.Admin, "samsara_gateway_response_drift_total"); counted != float64(answers) {
				t.Errorf("drift of %d answers to %d calls was counted %v times", answers, callers, counted)
			}
			t.Logf("%d answers to %d calls", answers, callers)
		})
	}
}
