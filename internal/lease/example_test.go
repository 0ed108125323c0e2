package lease_test

import (
	"context"
	"fmt"
	"runtime"

	"samsara.internal/gateway/internal/lease"
)

// A holder waits until another one gives back what there is no room for beside it.
func ExampleHolder_Take() {
	ctx := context.Background()
	pool := lease.NewPool(1 << 20)
	first, second := pool.Holder(nil), pool.Holder(nil)
	held, err := first.Take(ctx, 900<<10)
	if err != nil {
		fmt.Println(err)
		return
	}
	got := make(chan *lease.Lease)
	go func() {
		next, err := second.Take(ctx, 800<<10)
		if err != nil {
			fmt.Println(err)
		}
		got <- next
	}()
	for pool.Waiting() == 0 {
		runtime.Gosched()
	}
	fmt.Println("used:", pool.Used(), "waiting:", pool.Waiting())
	held.Release()
	next := <-got
	fmt.Println("used:", pool.Used(), "waiting:", pool.Waiting())
	next.Release()

	_, err = first.Take(ctx, 2<<20)
	fmt.Println(err)
	// Output:
	// used: 921600 waiting: 1
	// used: 819200 waiting: 0
	// no room among the bytes in flight: it takes 2097152 bytes, at most 983040 may be
}

// Bytes that two holders share count once, until the last of their leases is over.
func ExampleLease_Share() {
	pool := lease.NewPool(1 << 20)
	capacity := lease.Capacity(5000)
	page, err := pool.Holder(nil).Take(context.Background(), int64(capacity))
	if err != nil {
		fmt.Println(err)
		return
	}
	bytes := append(page.Buffer(5000), "one page"...)

	again := page.Share(pool.Holder(nil))
	page.Release()
	fmt.Println(string(bytes), "in", pool.Used(), "bytes")
	again.Release()
	fmt.Println(pool.Used(), "bytes")
	// Output:
	// one page in 5120 bytes
	// 0 bytes
}
