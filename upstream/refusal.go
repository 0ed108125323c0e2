package upstream

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/quota"
)

// The values of NotRepeated: why there is no further attempt.
const (
	notCertificate = "certificate"
	notCircuit     = "circuit"
	notDeadline    = "deadline"
	notAttempts    = "attempts"
	notMemory      = "memory"
	notQuota       = "quota"
	notRepeatable  = "not_repeatable"
	notRetryBudget = "retry_budget"
	notToken       = "token"
	// notWanted is for a caller that has gone. It is never in NotRepeated.
	notWanted = "cancelled"
)

// NotRepeatedReasons returns all values of Error.NotRepeated that are not empty.
func NotRepeatedReasons() []string {
	return []string{
		notAttempts, notCertificate, notCircuit, notDeadline, notMemory, notQuota, notRepeatable, notRetryBudget, notToken,
	}
}

// refusal is why there is no attempt, or no further one. It is no verdict: the caller is still told what
// the upstream or the network said before. Only retry uses it.
type refusal struct {
	// reason is empty if there is nothing to repeat.
	reason string
	// wait is how long to wait before calling again, if known.
	wait  time.Duration
	known bool
	// err is the cause.
	err error
	// begun is whether the attempt had begun, although nothing was sent.
	begun bool
	// own is whether the cause is what the caller has done or waits for: others may be let through.
	own bool
}

// conclude returns the error that the caller is told: the verdict, if there is one, with why the request
// was not repeated and when to call again; otherwise the refusal itself.
func (r *refusal) conclude(said *Error) *Error {
	var paused *quota.RefusedError
	switch {
	case r.reason == notWanted:
		return fault(apiv1.Reason_REASON_REQUEST_CANCELLED, "", r.err)
	case said != nil:
		said.NotRepeated = r.reason
		said.hurried = r.reason == notDeadline || r.reason == notQuota
		said.refusedOwn, said.othersAfter = r.own, said.RetryAfter
		said.RetryAfter = max(said.RetryAfter, r.wait)
		said.RetryAfterKnown = said.RetryAfterKnown || r.known
		return said
	case r.reason == notDeadline:
		said = fault(apiv1.Reason_REASON_REQUEST_DEADLINE_EXCEEDED, "", r.err)
	case r.reason == notCircuit:
		said = fault(apiv1.Reason_REASON_UPSTREAM_CIRCUIT_OPEN, "", nil)
	case errors.As(r.err, &paused) && paused.Paused:
		said = &Error{HTTPStatus: http.StatusTooManyRequests, Message: bounded(oneLine(
			"the upstream answered 429 to others: "+strings.TrimPrefix(r.err.Error(), "quota: ")), MaxMessageBytes), Err: r.err}
		said.judge()
	default:
		said = fault(apiv1.Reason_REASON_GATEWAY_QUOTA, strings.TrimPrefix(r.err.Error(), "quota: "), r.err)
	}
	said.RetryAfter, said.RetryAfterKnown, said.early, said.refusedOwn = r.wait, r.known, true, r.own
	return said
}

// failuresRefusal returns the refusal of a circuit or a retry budget that lets nothing through for wait.
// own is whether that is the caller's own, and not the host's.
func failuresRefusal(reason string, wait time.Duration, own bool) *refusal {
	return &refusal{reason: reason, wait: wait, known: true, own: own}
}

// overRefusal returns the refusal because of a context that is done, nil if it is not.
func overRefusal(ctx context.Context) *refusal {
	switch err := ctx.Err(); {
	case err == nil:
		return nil
	case Expired(ctx):
		return &refusal{reason: notDeadline, err: context.DeadlineExceeded}
	default:
		return &refusal{reason: notWanted, err: err}
	}
}

// quotaRefusal returns the refusal because of an error of the quota, nil if err is nil.
func quotaRefusal(ctx context.Context, err error) *refusal {
	if err == nil {
		return nil
	}
	if over := overRefusal(ctx); over != nil {
		return over
	}
	r := &refusal{reason: notQuota, err: err}
	var refused *quota.RefusedError
	if errors.As(err, &refused) {
		r.wait, r.known, r.own = refused.Wait, true, !refused.Paused
	}
	return r
}
