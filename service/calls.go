package service

import (
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
)

// calls bounds the calls that run at one time, on all connections together. It is safe for
// concurrent use.
type calls struct {
	limit   int64
	running atomic.Int64
	refused atomic.Uint64
}

// enter reports whether one more call may run, which then must leave.
func (c *calls) enter() bool {
	if c.running.Add(1) <= c.limit {
		return true
	}
	c.running.Add(-1)
	c.refused.Add(1)
	return false
}

func (c *calls) leave() { c.running.Add(-1) }

// overloadDelay is when a client may call again at the earliest that was refused because too many
// calls run. Up to as much again is added, so that such clients do not come back together.
const overloadDelay = time.Second

// overloaded is the error of a call beyond the limit.
func (c *calls) overloaded() error {
	info := &errdetails.ErrorInfo{Reason: reasonTooManyCalls, Metadata: map[string]string{"limit": strconv.FormatInt(c.limit, 10)}}
	wait := overloadDelay + rand.N(overloadDelay) //nolint:gosec // it spreads load and keeps nothing secret
	return newError(codes.ResourceExhausted, "too many calls at one time", info, &errdetails.RetryInfo{RetryDelay: durationpb.New(wait)})
}
