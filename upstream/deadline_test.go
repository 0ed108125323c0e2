package upstream_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"samsara.internal/gateway/upstream"
)

func TestExpired_byTheClockAndNotByWhoNoticed(t *testing.T) {
	t.Parallel()
	const deadline = 100 * time.Millisecond
	for _, test := range []struct {
		name     string
		unbound  bool // there is no deadline
		canceled time.Duration
		want     bool
	}{
		{name: "the deadline passed", canceled: time.Second, want: true},
		{name: "cancelled just before", canceled: deadline - 20*time.Millisecond, want: true},
		{name: "cancelled before that", canceled: deadline - 21*time.Millisecond},
		{name: "cancelled at once"},
		{name: "cancelled without a deadline", unbound: true, canceled: time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer time.AfterFunc(test.canceled, cancel).Stop()
				if !test.unbound {
					var end context.CancelFunc
					ctx, end = context.WithTimeout(ctx, deadline)
					defer end()
				}
				if upstream.Expired(ctx) {
					t.Error("expired before it was done")
				}
				<-ctx.Done()
				if got := upstream.Expired(ctx); got != test.want {
					t.Errorf("got %t, want %t", got, test.want)
				}
			})
		})
	}
}
