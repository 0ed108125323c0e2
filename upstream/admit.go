package upstream

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"

	"samsara.internal/gateway/internal/quota"
)

// unnamedPause is how long a quota pauses after a 429 that does not say.
const unnamedPause = time.Second

// admit waits until the quota lets the attempt be made, or says why it is not.
func admit(ctx context.Context, call *call) *Error {
	if call.op.quota == nil {
		return nil
	}
	var err error
	call.permit, err = call.op.quota.Admit(ctx, call.From)
	return refusedByQuota(ctx, err)
}

// Pass implements http1.Gate: an attempt counts from when its request is written.
func (call *call) Pass(ctx context.Context) error {
	if err := refusedByQuota(ctx, call.permit.Renew(ctx)); err != nil {
		return err
	}
	return nil
}

// refusedByQuota makes the error of an attempt that the quota does not admit.
func refusedByQuota(ctx context.Context, err error) *Error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ended(ctx)
	}
	failure := fault(ReasonGatewayQuota, strings.TrimPrefix(err.Error(), "quota: "), err)
	var refused *quota.RefusedError
	if errors.As(err, &refused) {
		failure.RetryAfter, failure.RetryAfterKnown = refused.Wait, true
	}
	return failure
}

// pauseQuota lets nobody run into a limit that the upstream has just said is used up.
func pauseQuota(ctx context.Context, call *call, failure *Error) {
	if call.op.quota == nil || failure.HTTPStatus != http.StatusTooManyRequests {
		return
	}
	call.op.quota.Pause(ctx, time.Now().Add(cmp.Or(failure.RetryAfter, unnamedPause)))
}

// quotaFailure names the budget that an error is about, or is nil.
func (e *Error) quotaFailure() *errdetails.QuotaFailure {
	var refused *quota.RefusedError
	if !errors.As(e.Err, &refused) {
		return nil
	}
	return &errdetails.QuotaFailure{Violations: []*errdetails.QuotaFailure_Violation{{
		Subject:     refused.Budget,
		Description: "limit: " + refused.Limit.String(),
	}}}
}
