package main

import (
	"context"
	"sync/atomic"

	"samsara.internal/gateway/internal/policy"
	"samsara.internal/gateway/internal/telemetry"
	"samsara.internal/gateway/service"
)

// callMetrics tells the metrics of calls, and what the policy calls their callers.
type callMetrics struct {
	metrics *telemetry.Metrics
	// policy returns the policy that holds now; nil: there is none.
	policy func() *policy.Policy
	named  atomic.Pointer[policy.Policy]
}

// newCallMetrics makes the series of those that the policy names now.
func newCallMetrics(metrics *telemetry.Metrics, inUse func() *policy.Policy) *callMetrics {
	c := &callMetrics{metrics: metrics, policy: inUse}
	c.follow()
	return c
}

// follow takes up the names of another policy.
func (c *callMetrics) follow() {
	if c.policy == nil {
		return
	}
	if now := c.policy(); now != c.named.Load() && now != c.named.Swap(now) {
		c.metrics.Callers(now.Names())
	}
}

// finished counts a call that has ended.
func (c *callMetrics) finished(_ context.Context, f *service.Finished) {
	c.follow()
	call := telemetry.Call{
		Method: f.Method, Caller: f.Caller, Organization: f.Organization, Code: f.Code.String(), Duration: f.Duration,
	}
	if f.Sampled {
		call.TraceID = f.TraceID
	}
	c.metrics.CallEnded(call)
}
