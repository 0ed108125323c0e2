package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
)

// TestConcurrentCalls_beyondTheBound fills a gateway with calls that wait, and makes more calls.
func TestConcurrentCalls_beyondTheBound(t *testing.T) {
	t.Parallel()
	const most, more = 50, 100
	answer := make(chan struct{})
	upstream := serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-answer:
		case <-r.Context().Done():
		}
		body := `{"data":[],"pagination":{"endCursor":"","hasNextPage":false}}`
		if strings.HasPrefix(r.URL.Path, "/contacts/") {
			body = `{"data":{"id":"1"}}`
		}
		_, _ = io.WriteString(w, body)
	}))
	p, at := startBefore(t, against(t, upstream), "--quota=false", fmt.Sprintf("--max-concurrent-calls=%d", most))
	// One connection may have half of the calls.
	conns := []*grpc.ClientConn{connect(t, at.GRPC, insecure.NewCredentials()), connect(t, at.GRPC, insecure.NewCredentials())}
	var running sync.WaitGroup
	for n := range most {
		running.Go(func() {
			call := getContact
			if n%2 == 0 {
				call = streamAllVehicles
			}
			if err := call(conns[n%len(conns)])(t.Context(), n); err != nil {
				t.Errorf("a call within the bound: %v", err)
			}
		})
	}
	eventually(t, "the gateway is full", func() bool { return metric(t, at.Admin, "samsara_gateway_running_calls") == most })

	// All further calls are refused at once, on other connections too.
	other := connect(t, at.GRPC, insecure.NewCredentials())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for n := range more {
		call := getContact
		if n%2 == 0 {
			call = streamAllVehicles
		}
		err := call(other)(ctx, n)
		if status.Code(err) != codes.ResourceExhausted || verdictOf(err).reason != "GATEWAY_TOO_MANY_CALLS" {
			t.Fatalf("a call beyond the bound: got %v, reason %q, want ResourceExhausted, GATEWAY_TOO_MANY_CALLS", err, verdictOf(err).reason)
		}
		if wait := verdictOf(err).wait; wait < time.Second || wait > 2*time.Second {
			t.Errorf("RetryInfo says %v, want 1s to 2s", wait)
		}
	}
	if got := metric(t, at.Admin, "samsara_gateway_refused_calls_total"); got != more {
		t.Errorf("%v calls were counted as refused, want %d", got, more)
	}
	eventually(t, "all refused calls are counted", func() bool { // They are counted after the answer was sent.
		return metric(t, at.Admin, "samsara_gateway_calls_total", `code="ResourceExhausted"`) == more
	})
	lines, text, _ := p.log()
	if n := count(lines, "call refused", codes.ResourceExhausted); n < 1 || n > more/2 {
		t.Errorf("%d lines were logged of %d refused calls, want ten a second:\n%s", n, more, text)
	}

	// Health checks and reflection are not refused.
	health, err := healthv1.NewHealthClient(other).Check(ctx, &healthv1.HealthCheckRequest{})
	if err != nil || health.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Errorf("health of a full gateway: got %v, %v", health, err)
	}
	reflection, err := reflectionv1.NewServerReflectionClient(other).ServerReflectionInfo(ctx)
	if err == nil {
		err = reflection.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}})
	}
	if err == nil {
		_, err = reflection.Recv()
	}
	if err != nil {
		t.Errorf("reflection of a full gateway: %v", err)
	}

	close(answer)
	running.Wait()
	eventually(t, "no call runs", func() bool { return metric(t, at.Admin, "samsara_gateway_running_calls") == 0 })
	if err := getContact(other)(ctx, 0); err != nil {
		t.Errorf("a call after the others: %v", err)
	}
}

// TestConcurrentCalls_byDefaultFromMemory reads the bound of gateways that have no setting for it.
func TestConcurrentCalls_byDefaultFromMemory(t *testing.T) {
	t.Parallel()
	for limit, want := range map[string]float64{"32MiB": 200, "64MiB": 256, "512MiB": 2048, "8GiB": 32768} {
		t.Run(limit, func(t *testing.T) {
			t.Parallel()
			p := startIn(t, []string{"GOMEMLIMIT=" + limit}, "--sandbox", "--log-format=json", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0")
			at := p.await(t, "serving")
			if got := metric(t, at.Admin, "samsara_gateway_running_calls_limit"); got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}
