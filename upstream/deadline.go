package upstream

import (
	"context"
	"errors"
	"time"
)

// deadlineSlack is how long before its deadline a call may end by cancellation and still have ended
// for its deadline. The deadline of a gRPC call is a time from when its headers came, so that the
// caller's own clock is ahead of it by as long as they were under way. At its deadline the caller
// resets the stream, as it does to cancel (PROTOCOL-HTTP2.md knows no other way), and that may
// arrive first.
const deadlineSlack = 20 * time.Millisecond

// Expired reports whether ctx, the context of a call, is done because its deadline passed, whoever
// noticed first. It is for use as soon as ctx is done.
func Expired(ctx context.Context) bool {
	err := ctx.Err()
	if errors.Is(err, context.Canceled) {
		deadline, ok := ctx.Deadline()
		return ok && time.Until(deadline) <= deadlineSlack
	}
	return err != nil
}
