package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"samsara.internal/gateway/internal/sandbox"
)

// The size of the soak unless make soak gives another one. Pages are small, so that there are many.
const (
	shortSoakRecords, shortSoakKills = 20_000, 2
	mostRecordsPerPage               = 512
)

// soakFleet is how many assets report at each tick.
const soakFleet = 1000

// soakFaults hit about a fifth of the requests: 1 - 0.945^4 of them.
const soakFaults = "status=503; share=0.055," +
	"status=429; retry-after=0.015; share=0.055," +
	"truncate; share=0.055," +
	"reset; share=0.055"

// TestSoak_followedFeed follows a feed through one gateway after another. All but the last are killed, and
// a fifth of the requests to the sandbox fail. The client stores a cursor now and then, like a client that
// writes to a database, and goes on from the last one. It must see every record in order, and no record
// twice except those after that cursor.
func TestSoak_followedFeed(t *testing.T) {
	t.Parallel()
	records, kills := setting(t, "SAMSARA_SOAK_RECORDS", shortSoakRecords), setting(t, "SAMSARA_SOAK_KILLS", shortSoakKills)
	box, flags := startSandbox(t, fmt.Sprintf("--fleet=%d", soakFleet), "--fault="+soakFaults)
	// There are so few attempts that some failures reach the reader of the feed. There is no quota, because
	// so many 429s would lower it.
	flags = append(flags, "--quota=false", "--retry-base-delay=1ms", "--retry-max-delay=10ms", "--retry-max-attempts=2")

	begun := time.Now()
	r := soakReader{
		// The feed begins so early that it has this many records at the present tick.
		from:  begun.Truncate(sandbox.Tick).Add(-time.Duration((records-1)/soakFleet) * sandbox.Tick),
		limit: int32(min(max(1, records/200), mostRecordsPerPage)),
	}
	outlasted := 0.0
	for life := range kills + 1 {
		gateway, at := startBefore(t, flags)
		end := syscall.SIGKILL
		if life == kills {
			end = syscall.SIGTERM
		}
		r.follow(t, at.GRPC, records*(life+1)/(kills+1), func() {
			outlasted += metric(t, at.Admin, "samsara_gateway_feed_failures_outlasted_total")
			gateway.signal(t, end)
		})
		if exit := gateway.wait(t); exit != nil && end == syscall.SIGTERM {
			t.Errorf("the last gateway ended with %v", exit)
		}
	}

	requests, faults := 0, map[string]int{}
	lines, _, _ := box.log()
	for _, line := range lines {
		kind, _, _ := strings.Cut(line.Fault, ";")
		switch {
		case line.Message == "connection reset":
			kind = "reset"
		case line.Message != "answered":
			continue
		}
		requests++
		if kind != "" {
			faults[kind]++
			faults["all"]++
		}
	}
	t.Logf("%d records in %v: %d kills and resumes, %d records twice, %d keep-alives, %d of them with a failure",
		r.read, time.Since(begun).Round(time.Millisecond), kills, r.repeated, r.keepAlives, r.failures)
	t.Logf("%d upstream requests, %d of them failed: %v; outlasted by the feed's reader: %v", requests, faults["all"], faults, outlasted)
	for _, kind := range []string{"status=503", "status=429", "truncate", "reset"} {
		if faults[kind] == 0 {
			t.Errorf("no request failed with %s", kind)
		}
	}
	if outlasted == 0 {
		t.Error("no failure reached the reader of the feed")
	}
	if share := float64(faults["all"]) / float64(requests); share < 0.15 || share > 0.25 {
		t.Errorf("%.0f%% of the upstream requests failed, want about 20%%", share*100)
	}
}

// setting returns a number from the environment. Its default is otherwise.
func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv(name), strconv.Itoa(otherwise)))
	if err != nil || n < 1 {
		t.Fatalf("%s: must be a whole number of at least 1: %v", name, err)
	}
	return n
}

// soakReader is a client that reads a feed and counts what it sees.
type soakReader struct {
	from  time.Time
	limit int32

	// read is how many records it has seen. repeated is how many of them it has seen again.
	read, repeated int
	// cursor is the stored cursor, and stored is how many records come before it.
	cursor string
	stored int
	// keepAlives is how many keep-alives came, and failures how many of them had a failure.
	keepAlives, failures int
}

// storeEvery is the number of messages between two stored cursors.
const storeEvery = 5

// follow goes on from the stored cursor. When it has seen until records in all, it calls end, which ends
// the gateway, and reads what still comes.
func (r *soakReader) follow(t *testing.T, address string, until int, end func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	stream := followLocations(ctx, t, connect(t, address, insecure.NewCredentials()), r.from, r.limit, r.cursor)
	next, ended := r.stored, false
	for messages := 1; ; messages++ {
		m, err := stream.Recv()
		if err != nil {
			if !ended || status.Code(err) != codes.Unavailable {
				t.Fatalf("after %d records: the stream ended with %v", r.read, err)
			}
			return
		}
		if m.GetKeepAlive() != nil {
			r.keepAlives++
			if m.GetKeepAlive().GetFailure() != nil {
				r.failures++
			}
		}
		for _, record := range m.GetPage().GetData() {
			if got, want := positionOf(t, record, soakFleet), positionAt(r.from, soakFleet)+next; got != want {
				t.Fatalf("record %d is %v, which is %d positions off", next, record, got-want)
			}
			next++
			if next <= r.read {
				r.repeated++
			}
			r.read = max(r.read, next)
		}
		if messages%storeEvery == 0 {
			r.cursor, r.stored = m.GetCursor(), next
		}
		if !ended && r.read >= until {
			end()
			ended = true
		}
	}
}
