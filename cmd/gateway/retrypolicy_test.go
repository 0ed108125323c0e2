package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	tagsv1 "samsara.internal/gateway/gen/tags/v1"
)

// serviceConfig returns the service config that the docs recommend to clients.
func serviceConfig(t *testing.T) string {
	t.Helper()
	const page, fence = "../../docs/calling.md", "```json\n"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), fence)
	config, _, closed := strings.Cut(after, "```")
	if !found || !closed || strings.Contains(after[len(config):], fence) {
		t.Fatalf("%s: want one block of JSON, the service config", page)
	}
	return config
}

// dialWith returns a connection whose client retries by a service config.
func dialWith(t *testing.T, address, config string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultServiceConfig(config))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// TestRetryPolicy_doesNotMultiplyAttempts has calls fail, with the retry policy that the docs recommend and
// with one that repeats many codes. It counts the upstream requests of each call.
func TestRetryPolicy_doesNotMultiplyAttempts(t *testing.T) {
	t.Parallel()
	const attempts = 4
	eager := strings.Replace(serviceConfig(t), `["UNAVAILABLE"]`, `["UNAVAILABLE", "RESOURCE_EXHAUSTED", "ABORTED", "INTERNAL"]`, 1)
	list := func(ctx context.Context, client tagsv1.TagsServiceClient, opts ...grpc.CallOption) error {
		_, err := client.ListTags(ctx, &tagsv1.ListTagsRequest{}, opts...)
		return err
	}
	create := func(ctx context.Context, client tagsv1.TagsServiceClient, opts ...grpc.CallOption) error {
		_, err := client.CreateTag(ctx, &tagsv1.CreateTagRequest{Name: proto.String("it")}, opts...)
		return err
	}
	stream := func(ctx context.Context, client tagsv1.TagsServiceClient, opts ...grpc.CallOption) error {
		s, err := client.StreamTags(ctx, &tagsv1.StreamTagsRequest{}, opts...)
		if err == nil {
			_, err = s.Recv()
		}
		return err
	}
	for _, test := range []struct {
		name   string
		call   func(context.Context, tagsv1.TagsServiceClient, ...grpc.CallOption) error
		answer http.HandlerFunc
		config string
		want   int64 // upstream requests of one call
		code   codes.Code
	}{
		{"a read and 503", list, said{status: 503}.say, serviceConfig(t), attempts, codes.Unavailable},
		{"a read and a reset", list, said{}.say, serviceConfig(t), attempts, codes.Unavailable},
		{"a stream and 503", stream, said{status: 503}.say, serviceConfig(t), attempts, codes.Unavailable},
		{"a POST and 503", create, said{status: 503}.say, serviceConfig(t), attempts, codes.Unavailable},
		{"a POST and 500", create, said{status: 500}.say, serviceConfig(t), 1, codes.Unavailable},
		{"a POST and 409", create, said{status: 409}.say, eager, 1, codes.Aborted},
		{"a POST that was processed", create, answerWith(http.StatusOK, "<html>"), eager, 1, codes.Internal},
		{"a read and 429", list, said{status: 429}.say, eager, attempts, codes.ResourceExhausted},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int64
			upstream := serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				test.answer(w, r)
			}))
			at := startAgainst(t, upstream, fmt.Sprintf("--retry-max-attempts=%d", attempts), "--retry-base-delay=1ms", "--quota=false")
			var trailer metadata.MD
			err := test.call(waiting(t), tagsv1.NewTagsServiceClient(dialWith(t, at.GRPC, test.config)), grpc.Trailer(&trailer))
			if status.Code(err) != test.code {
				t.Errorf("the call: got %v, want %v", err, test.code)
			}
			if got := requests.Load(); got != test.want {
				t.Errorf("the upstream got %d requests, want %d", got, test.want)
			}
			if got := trailer.Get("grpc-retry-pushback-ms"); len(got) != 1 || got[0] != "-1" {
				t.Errorf("the pushback is %q, want -1", got)
			}
		})
	}
}

// TestRetryPolicy_waitsIfNotSent has the retry policy of a client repeat a write that the gateway refuses
// because too many calls run. The write was not sent, so the client may repeat it, after the wait
// that the gateway asks for.
func TestRetryPolicy_waitsIfNotSent(t *testing.T) {
	t.Parallel()
	free := make(chan struct{})
	upstream := serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-free:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, `{"data": {"id": "1", "name": "it"}}`)
	}))
	const most = 4
	at := startAgainst(t, upstream, fmt.Sprintf("--max-concurrent-calls=%d", most), "--quota=false")
	config := strings.Replace(serviceConfig(t), `["UNAVAILABLE"]`, `["UNAVAILABLE", "RESOURCE_EXHAUSTED"]`, 1)
	var ended [most + 1]chan error
	for i := range ended {
		ended[i] = make(chan error, 1)
		client := tagsv1.NewTagsServiceClient(dialWith(t, at.GRPC, config))
		go func() {
			_, err := client.CreateTag(waiting(t), &tagsv1.CreateTagRequest{Name: proto.String("it")})
			ended[i] <- err
		}()
		if i < most {
			eventually(t, "a call runs", func() bool { return metric(t, at.Admin, "samsara_gateway_running_calls") == float64(i+1) })
		}
	}
	// The client may have repeated the call before the metric is read.
	eventually(t, "a call is refused", func() bool { return metric(t, at.Admin, "samsara_gateway_refused_calls_total") >= 1 })
	close(free)
	for i, err := range ended {
		if err := <-err; err != nil {
			t.Errorf("call %d: %v", i, err)
		}
	}
}
