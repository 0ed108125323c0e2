package reload_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"samsara.internal/gateway/internal/reload"
)

// A file that is replaced is taken up, unless it is bad.
func ExampleValue() {
	dir, err := os.MkdirTemp("", "reload")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "limit")
	replace := func(content string) {
		err := os.WriteFile(path+".new", []byte(content), 0o600)
		if err = errors.Join(err, os.Rename(path+".new", path)); err != nil {
			fmt.Println(err)
		}
	}
	replace("10")
	limit, err := reload.New(reload.File[int]{
		Name: "limit", Paths: []string{path}, MaxBytes: 20,
		Parse: func(contents [][]byte) (int, error) {
			n, err := strconv.Atoi(string(contents[0]))
			if err != nil {
				return 0, errors.New("must be a whole number") // and does not show the content
			}
			return n, nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	poller := reload.NewPoller(slog.New(slog.DiscardHandler), limit)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { poller.Run(ctx) })
	defer running.Wait()
	defer stop()
	fmt.Println(limit.Get())

	replace("20")
	poller.Poke()
	limit.Await(ctx, time.Minute, func(n int) bool { return n == 20 })
	fmt.Println(limit.Get())

	replace("many")
	for limit.State().Failed == 0 {
		limit.Again(ctx)
	}
	fmt.Println(limit.Get(), limit.State().Err)
	// Output:
	// 10
	// 20
	// 20 must be a whole number
}
