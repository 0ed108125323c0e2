#!/usr/bin/env bash
# go-redis waits for its answer after the context has ended: a deadline does not end a command unless
# ContextTimeoutEnabled is set, and a cancellation does not end it even then.
#
# Guess: every command takes a context first, so it returns once that context is done, with
#   context.DeadlineExceeded or context.Canceled.
# What happens: by default a command under way waits for the server, or for the client's own read
#   timeout. With ContextTimeoutEnabled the deadline becomes the socket's, so a deadline does end
#   it, but with an error that is not context.DeadlineExceeded. A context that is cancelled without
#   a deadline still changes nothing: here the answer of BLPOP to an empty list comes 3 s later.
# Versions: github.com/redis/go-redis/v9 v9.23.0, github.com/alicebob/miniredis/v2 v2.40.0 as the
#   server, go1.26.8 linux/amd64. Seen 2026-11-30:
#
#   go-redis 9.23.0, BLPOP that the server answers after 3s, context ends after 200ms
#   ContextTimeoutEnabled false, deadline: 3.0 s, redis.Nil: the server's answer
#   ContextTimeoutEnabled false, cancel  : 3.0 s, redis.Nil: the server's answer
#   ContextTimeoutEnabled true , deadline: 0.2 s, os.ErrDeadlineExceeded: i/o timeout
#   ContextTimeoutEnabled true , cancel  : 3.0 s, redis.Nil: the server's answer
#
# Exits 0 if that is still so, 1 if it changed, 2 if it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off

cat >main.go <<'GO'
// A blocking read whose context ends before the server's answer comes.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

const (
	ends   = 200 * time.Millisecond // when the context ends
	answer = 3 * time.Second        // when the server answers BLPOP that it has nothing
)

// kind names err without the addresses that it may carry.
func kind(err error) string {
	switch {
	case errors.Is(err, redis.Nil):
		return "redis.Nil: the server's answer"
	case errors.Is(err, context.DeadlineExceeded):
		return "context.DeadlineExceeded"
	case errors.Is(err, context.Canceled):
		return "context.Canceled"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "os.ErrDeadlineExceeded: i/o timeout"
	default:
		return fmt.Sprint(err)
	}
}

func main() {
	server, err := miniredis.Run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot run:", err)
		os.Exit(2)
	}
	defer server.Close()
	deadline := func() (context.Context, context.CancelFunc) {
		return context.WithTimeout(context.Background(), ends)
	}
	cancelled := func() (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(ends, cancel)
		return ctx, cancel
	}
	fmt.Printf("go-redis %s, BLPOP that the server answers after %v, context ends after %v\n", redis.Version(), answer, ends)
	changed := false
	for _, c := range []struct {
		enabled bool
		name    string
		context func() (context.Context, context.CancelFunc)
		waits   bool
	}{
		{false, "deadline", deadline, true},
		{false, "cancel", cancelled, true},
		{true, "deadline", deadline, false},
		{true, "cancel", cancelled, true},
	} {
		client := redis.NewClient(&redis.Options{Addr: server.Addr(), ContextTimeoutEnabled: c.enabled})
		if err := client.Ping(context.Background()).Err(); err != nil {
			fmt.Fprintln(os.Stderr, "cannot run:", err)
			os.Exit(2)
		}
		ctx, cancel := c.context()
		start := time.Now()
		err := client.BLPop(ctx, answer, "empty").Err()
		took := time.Since(start)
		fmt.Printf("ContextTimeoutEnabled %-5v, %-8s: %.1f s, %s\n", c.enabled, c.name, took.Seconds(), kind(err))
		// redis.Nil is the server's answer.
		changed = changed || errors.Is(err, redis.Nil) != c.waits
		cancel()
		client.Close()
	}
	if changed {
		fmt.Println("CHANGED: only the deadline with ContextTimeoutEnabled was expected to end the wait")
		os.Exit(1)
	}
}
GO
if ! { go mod init example.test/finding && go get github.com/redis/go-redis/v9@v9.23.0 github.com/alicebob/miniredis/v2@v2.40.0 && go build -o finding .; } >log 2>&1; then
	cat log >&2
	exit 2
fi
./finding
