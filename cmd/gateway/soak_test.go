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

// What the soak reads where make soak does not say otherwise, with many small pages.
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

// TestSoak_followedFeed reads a feed through one
// gateway after the other, all but the last of which are killed, while a fifth of the requests to
// the sandbox fail. The client stores a cursor now and then, as one that writes to a database does,
// and goes on from it. It must see every record in order, and none twice but those behind that
// cursor.
func TestSoak_followedFeed(t *testing.T) {
	t.Parallel()
	records, kills := setting(t, "SAMSARA_SOAK_RECORDS", shortSoakRecords), setting(t, "SAMSARA_SOAK_KILLS", shortSoakKills)
	box, flags := startSandbox(t, fmt.Sprintf("--fleet=%d", soakFleet), "--fault="+soakFaults)
	// So few attempts that some failures are left for the feed's reader to wait out. A quota would
	// be lowered by so many a 429.
	flags = append(flags, "--quota=false", "--retry-base-delay=1ms", "--retry-max-delay=10ms", "--retry-max-attempts=2")

	begun := time.Now()
	r := soakReader{
		// So that as many records lie in the past, the last of them at this tick.
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
			t.Errorf("no request failed by %s", kind)
		}
	}
	if outlasted == 0 {
		t.Error("no failure reached the feed's reader")
	}
	if share := float64(faults["all"]) / float64(requests); share < 0.15 || share > 0.25 {
		t.Errorf("%.0f%% of the upstream requests failed, want about 20%%", share*100)
	}
}

// setting returns a number from the environment.
func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv(name), strconv.Itoa(otherwise)))
	if err != nil || n < 1 {
		t.Fatalf("%s: must be a whole number of at least 1: %v", name, err)
	}
	return n
}

// soakReader is a client that reads a feed and keeps count.
type soakReader struct {
	from  time.Time
	limit int32

	// read is how many records it has seen, repeated how many of them it has seen once more.
	read, repeated int
	// cursor is what it has stored, after as many records as stored says.
	cursor string
	stored int
	// keepAlives is how many keep-alives came, failures how many of them told of a failure.
	keepAlives, failures int
}

// storeEvery is after how many messages the reader stores the cursor.
const storeEvery = 5

// follow goes on from the stored cursor. Once it has seen so many records in all it has the
// gateway ended, and reads what still comes.
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
			if got, want := placeOf(t, record, soakFleet), placeAt(r.from, soakFleet)+next; got != want {
				t.Fatalf("record %d is %v, which is %d places off", next, record, got-want)
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
