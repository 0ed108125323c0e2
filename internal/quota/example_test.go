package quota_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/quota"
)

// Every attempt takes from the budget of the token, the organization and the operation.
func ExampleLimiter() {
	limiter, err := quota.New(quota.Defaults())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = limiter.Close() }()
	listTags, err := limiter.Operation("ListTags", quota.Limit{Requests: 5, Window: time.Minute}) // at start-up
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, caller := range []string{"dispatch", "reports", "dispatch"} {
		if _, err := listTags.Admit(context.Background(), identity.Identity{Caller: caller}); err != nil {
			fmt.Println(err)
		}
	}
	for _, b := range limiter.Snapshot().Budgets {
		fmt.Printf("%s: %v, %.1f of them, %d admitted\n", b.Name, b.Limit, b.Effective, b.Admitted)
	}
	// Output:
	// token: 150 in 1s, 144.2 of them, 3 admitted
	// organization: 200 in 1s, 192.3 of them, 3 admitted
	// operation:ListTags: 5 in 1m0s, 4.8 of them, 3 admitted
}

// An attempt that would have to wait for too long is refused at once.
func ExampleOperation_Admit() {
	limiter, err := quota.New(quota.Defaults())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = limiter.Close() }()
	report, err := limiter.Operation("CreateReport", quota.Limit{Requests: 1, Window: time.Hour})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, from := context.Background(), identity.Identity{Caller: "reports", Batch: true}
	permit, err := report.Admit(ctx, from)
	if err == nil {
		err = permit.Renew(ctx) // when the request is about to be written
	}
	fmt.Println("first:", err)

	_, err = report.Admit(ctx, from)
	var refused *quota.RefusedError
	if errors.As(err, &refused) {
		fmt.Println("second:", refused.Budget, refused.Limit, refused.Wait > 50*time.Minute)
	}
	// Output:
	// first: <nil>
	// second: operation:CreateReport 1 in 1h0m0s true
}

// After a 429 nobody is admitted by the budget until the pause is over.
func ExampleOperation_Pause() {
	limiter, err := quota.New(quota.Defaults())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = limiter.Close() }()
	listTags, err := limiter.Operation("ListTags", quota.Limit{Requests: 5, Window: time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	listTags.Pause(ctx, time.Now().Add(time.Hour)) // The answer had Retry-After: 3600.

	_, err = listTags.Admit(ctx, identity.Identity{Caller: "dispatch"})
	var refused *quota.RefusedError
	fmt.Println(errors.As(err, &refused) && refused.Paused)
	fmt.Println(limiter.Snapshot().Budgets[2].Throttled)
	// Output:
	// true
	// 1
}
