package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	locationandspeedv1 "samsara.internal/gateway/gen/location_and_speed/v1"
	vehiclesv1 "samsara.internal/gateway/gen/vehicles/v1"
	"samsara.internal/gateway/internal/sandbox"
	"samsara.internal/gateway/internal/testenv"
)

// firstID is the id of the first record in each collection of the sandbox.
const firstID = 281474976710657

// positionAt returns the position, in the feeds of a sandbox, of the first report at a tick. Each asset of
// the fleet reports once a tick, in the order of ids.
func positionAt(at time.Time, fleet int) int {
	return int(at.UnixMilli()/sandbox.Tick.Milliseconds()) * fleet
}

// positionOf returns the position of a record in the feed, or -1 if its id or its time is not valid.
func positionOf(t *testing.T, record *locationandspeedv1.LocationAndSpeed, fleet int) int {
	t.Helper()
	id, idErr := strconv.Atoi(record.GetAsset().GetId())
	at, atErr := time.Parse(time.RFC3339, record.GetHappenedAtTime())
	if err := errors.Join(idErr, atErr); err != nil {
		t.Error(err)
		return -1
	}
	return positionAt(at, fleet) + id - firstID
}

// followLocations follows the feed of locations from a cursor. If the cursor is empty, it begins at a time,
// or now if that is zero.
func followLocations(ctx context.Context, t *testing.T, conn *grpc.ClientConn, from time.Time, limit int32, cursor string) grpc.ServerStreamingClient[locationandspeedv1.FollowLocationAndSpeedResponse] {
	t.Helper()
	request := &locationandspeedv1.FollowLocationAndSpeedRequest{
		Request: &locationandspeedv1.ListLocationAndSpeedRequest{Limit: &limit},
		Options: &apiv1.FollowOptions{KeepAliveInterval: durationpb.New(time.Second)},
	}
	if !from.IsZero() {
		request.Request.StartTime = proto.String(from.UTC().Format(time.RFC3339))
	}
	if cursor != "" {
		request.Options.FromCursor = &cursor
	}
	stream, err := locationandspeedv1.NewLocationAndSpeedServiceClient(conn).FollowLocationAndSpeed(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// streamVehicles streams the list of vehicles from a cursor, or from the beginning if it is empty. It does
// not change the options.
func streamVehicles(ctx context.Context, t *testing.T, conn *grpc.ClientConn, limit int32, cursor string, options *apiv1.StreamOptions) grpc.ServerStreamingClient[vehiclesv1.StreamVehiclesResponse] {
	t.Helper()
	request := &vehiclesv1.StreamVehiclesRequest{
		Request: &vehiclesv1.ListVehiclesRequest{Limit: &limit},
		Options: &apiv1.StreamOptions{},
	}
	proto.Merge(request.Options, options)
	if cursor != "" {
		request.Options.FromCursor = &cursor
	}
	stream, err := vehiclesv1.NewVehiclesServiceClient(conn).StreamVehicles(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// numbers returns the numbers of vehicles, counted from 0.
func numbers(t *testing.T, vehicles []*vehiclesv1.VehicleObject) []int {
	t.Helper()
	var out []int
	for _, v := range vehicles {
		id, err := strconv.Atoi(v.GetId())
		if err != nil {
			t.Error(err)
		}
		out = append(out, id-firstID)
	}
	return out
}

// waiting returns a context that bounds how long a call or a stream may take in a test.
func waiting(t *testing.T) context.Context {
	t.Helper()
	return withTimeout(t, patience)
}

func TestStream_optionsAndCursor(t *testing.T) {
	t.Parallel()
	_, at := startSandboxed(t)
	conn := connect(t, at.GRPC, insecure.NewCredentials())
	for _, test := range []struct {
		name    string
		options *apiv1.StreamOptions
		want    [][]int
		// wantRest is what follows the last cursor, nil if there is none.
		wantRest [][]int
	}{
		{name: "whole", want: [][]int{{0, 1, 2, 3, 4}, {5, 6, 7, 8, 9}, {10, 11}}},
		{
			name: "some pages", options: &apiv1.StreamOptions{MaxPages: proto.Int32(2)},
			want: [][]int{{0, 1, 2, 3, 4}, {5, 6, 7, 8, 9}}, wantRest: [][]int{{10, 11}},
		},
		{
			name: "some records, whose last page is sent again", options: &apiv1.StreamOptions{MaxItems: proto.Int32(7)},
			want: [][]int{{0, 1, 2, 3, 4}, {5, 6}}, wantRest: [][]int{{5, 6, 7, 8, 9}, {10, 11}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			read := func(cursor string, options *apiv1.StreamOptions) (pages [][]int, last string) {
				stream := streamVehicles(waiting(t), t, conn, 5, cursor, options)
				for {
					m, err := stream.Recv()
					if errors.Is(err, io.EOF) {
						return pages, last
					}
					if err != nil {
						t.Fatal(err)
					}
					pages, last = append(pages, numbers(t, m.GetPage().GetData())), m.GetCursor()
				}
			}
			got, cursor := read("", test.options)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("pages (-want +got):\n%s", diff)
			}
			if (cursor != "") != (test.wantRest != nil) {
				t.Fatalf("the last cursor is %q", cursor)
			}
			if cursor == "" {
				return
			}
			got, _ = read(cursor, nil)
			if diff := cmp.Diff(test.wantRest, got); diff != "" {
				t.Errorf("the rest (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGrpcurl_readsStreams(t *testing.T) {
	t.Parallel()
	testenv.Tool(t, "grpcurl")
	_, at := startSandboxed(t)
	for _, test := range []struct {
		name, method, request string
		// wantRecords and wantMessages are the expected numbers.
		wantRecords, wantMessages int
	}{
		{
			name: "a whole list", method: "samsara_gateway.vehicles.v1.VehiclesService/StreamVehicles",
			request: `{"request": {"limit": 5}}`, wantRecords: 12, wantMessages: 3,
		},
		{
			name: "pages of a list", method: "samsara_gateway.vehicles.v1.VehiclesService/StreamVehicles",
			request: `{"request": {"limit": 5}, "options": {"maxPages": 1}}`, wantRecords: 5, wantMessages: 1,
		},
		{
			name: "records of a feed", method: "samsara_gateway.location_and_speed.v1.LocationAndSpeedService/FollowLocationAndSpeed",
			request:     fmt.Sprintf(`{"request": {"limit": 8, "startTime": %q}, "options": {"maxItems": 20}}`, time.Now().Add(-time.Hour).Format(time.RFC3339)),
			wantRecords: 20, wantMessages: 3,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			out, err := output(t, "grpcurl", "-plaintext", "-d", test.request, at.GRPC, test.method)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			records := strings.Count(out, `"vin": "`) + strings.Count(out, `"happenedAtTime": "`)
			if messages := strings.Count(out, `"page": {`); records != test.wantRecords || messages != test.wantMessages {
				t.Errorf("got %d records in %d messages, want %d in %d:\n%s", records, messages, test.wantRecords, test.wantMessages, out)
			}
		})
	}
}

// TestDraining_streamsEndWithACursor stops a gateway while a client has read one page of a stream. Another
// gateway must continue with exactly the missing records.
func TestDraining_streamsEndWithACursor(t *testing.T) {
	t.Parallel()
	const fleet, limit, ticks = 4000, 500, 3
	_, flags := startSandbox(t, fmt.Sprintf("--fleet=%d", fleet))
	from := time.Now().Truncate(sandbox.Tick).Add(-(ticks - 1) * sandbox.Tick)
	// receive returns the positions of the records of the next message.
	type receive func() ([]int, error)
	for _, test := range []struct {
		name        string
		open        func(conn *grpc.ClientConn, cursor string) (receive, grpc.ClientStream)
		first, want int
	}{
		{
			name: "of a list", first: 0, want: fleet,
			open: func(conn *grpc.ClientConn, cursor string) (receive, grpc.ClientStream) {
				stream := streamVehicles(waiting(t), t, conn, limit, cursor, nil)
				return func() ([]int, error) {
					m, err := stream.Recv()
					return numbers(t, m.GetPage().GetData()), err
				}, stream
			},
		},
		{
			name: "of a feed", first: positionAt(from, fleet), want: ticks * fleet,
			open: func(conn *grpc.ClientConn, cursor string) (receive, grpc.ClientStream) {
				stream := followLocations(waiting(t), t, conn, from, limit, cursor)
				return func() (positions []int, err error) {
					m, err := stream.Recv()
					for _, record := range m.GetPage().GetData() {
						positions = append(positions, positionOf(t, record, fleet))
					}
					return positions, err
				}, stream
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p, at := startBefore(t, flags, "--shutdown-grace=15s")
			next, stream := test.open(connect(t, at.GRPC, insecure.NewCredentials()), "")
			got, err := next()
			if err != nil {
				t.Fatal(err)
			}
			p.signal(t, syscall.SIGTERM)
			p.await(t, "stopping")
			for err == nil {
				var positions []int
				positions, err = next()
				got = append(got, positions...)
			}
			if exit := p.wait(t); exit != nil {
				t.Errorf("the gateway ended with %v", exit)
			}
			assertDraining(t, err)
			if len(got) >= test.want {
				t.Fatalf("got all %d records before the end", len(got))
			}
			cursor := strings.Join(stream.Trailer().Get("samsara-cursor"), ",")
			if cursor == "" {
				t.Fatal("the trailer has no samsara-cursor")
			}

			_, at = startBefore(t, flags)
			next, _ = test.open(connect(t, at.GRPC, insecure.NewCredentials()), cursor)
			for len(got) < test.want {
				positions, err := next()
				if err != nil {
					t.Fatalf("after %d records: %v", len(got), err)
				}
				got = append(got, positions...)
			}
			for i, position := range got {
				if position != test.first+i {
					t.Fatalf("record %d is at position %d, want %d", i, position-test.first, i)
				}
			}
		})
	}
}

// assertDraining checks that a stream ended because the gateway stopped, with a RetryInfo.
func assertDraining(t *testing.T, err error) {
	t.Helper()
	if got := verdictOf(err); got.code != codes.Unavailable || got.reason != "GATEWAY_DRAINING" || got.wait <= 0 {
		t.Errorf("the stream ended with %v, want Unavailable/GATEWAY_DRAINING and some RetryInfo", got)
	}
}

// TestFollow_followersShareRequests has half of the followers begin later, at the cursor at which the
// others began. It counts the requests after these have caught up. Every answer has new records: two
// requests are at least as far apart as two reports.
func TestFollow_followersShareRequests(t *testing.T) {
	t.Parallel()
	const followers, connections, polls = 500, 4, 2
	_, flags := startSandbox(t)
	_, at := startBefore(t, flags)
	requests := func() int {
		return int(metric(t, at.Admin, "samsara_gateway_operation_upstream_attempts_total", `/ListLocationAndSpeed"`))
	}
	var conns [connections]*grpc.ClientConn
	for i := range conns {
		conns[i] = connect(t, at.GRPC, insecure.NewCredentials())
	}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	var pages [followers]atomic.Int64
	cursors := make(chan string, followers/2) // that the first half began with
	follow := func(i int, cursor string) {
		stream := followLocations(ctx, t, conns[i%connections], time.Time{}, 500, cursor)
		all.Go(func() {
			for last := 0; ; {
				m, err := stream.Recv()
				if err != nil {
					if status.Code(err) != codes.Canceled {
						t.Errorf("follower %d: %v", i, err)
					}
					return
				}
				for _, record := range m.GetPage().GetData() {
					position := positionOf(t, record, sandbox.DefaultFleet)
					if last != 0 && position != last+1 {
						t.Errorf("follower %d: position %d comes after %d", i, position, last)
					}
					last = position
				}
				if m.GetPage() != nil && pages[i].Add(1) == 1 && cursor == "" {
					cursors <- m.GetCursor()
				}
			}
		})
	}
	// fewest returns the number of pages that each of the first count followers has at least.
	fewest := func(count int) int64 {
		n := pages[0].Load()
		for i := range count {
			n = min(n, pages[i].Load())
		}
		return n
	}
	for i := range followers / 2 {
		follow(i, "")
	}
	eventually(t, "the first half has two pages", func() bool { return fewest(followers/2) >= 2 })
	for i := followers / 2; i < followers; i++ {
		follow(i, <-cursors)
	}
	eventually(t, "the second half has a page", func() bool { return fewest(followers) >= 1 })
	eventually(t, "one reader is left", func() bool { return metric(t, at.Admin, "samsara_gateway_feed_readers") == 1 })

	before, seen := requests(), fewest(followers)
	eventually(t, "every follower has more", func() bool { return fewest(followers) >= seen+polls })
	more := requests() - before
	if more > polls+1 {
		t.Errorf("%d requests brought %d pages to each of %d followers, want one request for each page", more, polls, followers)
	}
	t.Logf("%d followers: %d requests until all had caught up, then %d for %d pages", followers, before, more, polls)
}

// TestStream_slowReaderHoldsTwoPages has a client pause after every few messages of a list with large
// pages, for longer than the gateway needs for another page.
func TestStream_slowReaderHoldsTwoPages(t *testing.T) {
	t.Parallel()
	const pages, limit, burst, stall = 24, 500, 6, 500 * time.Millisecond
	_, flags := startSandbox(t, fmt.Sprintf("--fleet=%d", pages*limit))
	_, at := startBefore(t, flags)
	// With a fixed window grpc does not buffer whole pages in the client.
	conn, err := grpc.NewClient(at.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStaticStreamWindowSize(1<<16), grpc.WithStaticConnWindowSize(1<<16))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	stream := streamVehicles(waiting(t), t, conn, limit, "", nil)
	largest, stalls := 0, []string{}
	for n := 1; ; n++ {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			if n != pages+1 {
				t.Errorf("got %d pages, want %d", n-1, pages)
			}
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		largest = max(largest, proto.Size(m))
		if n%burst != 0 || n+2 > pages {
			continue
		}
		requests := func() int {
			return int(metric(t, at.Admin, "samsara_gateway_operation_upstream_attempts_total", `/ListVehicles"`))
		}
		held := func() int { return int(inFlight(t, at.Admin)) }
		atMost := 2 * largest * 5 / 4
		// One page is being sent, and the next one was fetched meanwhile.
		eventually(t, "two pages are held", func() bool { return requests() >= n+2 && held() <= atMost })
		for pause := time.Now().Add(stall); time.Now().Before(pause); {
			if asked, held := requests(), held(); asked > n+2 || held > atMost {
				t.Fatalf("when %d pages had been read, %d had been asked for and %d bytes were held, want %d and at most %d", n, asked, held, n+2, atMost)
			}
		}
		resident := int(metric(t, at.Admin, "process_resident_memory_bytes"))
		stalls = append(stalls, fmt.Sprintf("%d: %d KiB held, %d MiB resident", n, held()>>10, resident>>20))
	}
	t.Logf("pages of %d KiB; after page %s", largest>>10, strings.Join(stalls, "; "))
}

func TestTime_cancelledStreamsFreed(t *testing.T) {
	t.Parallel()
	testenv.Alone(t)
	// This takes less than a second, except on a busy machine.
	const streams, connections, soon = 200, 4, 10 * time.Second
	_, flags := startSandbox(t, "--fault=latency=5m")
	_, at := startBefore(t, flags, "--quota=false") // With a quota the lists would wait for each other.
	var conns [connections]*grpc.ClientConn
	for i := range conns {
		conns[i] = connect(t, at.GRPC, insecure.NewCredentials())
		if _, err := healthv1.NewHealthClient(conns[i]).Check(t.Context(), &healthv1.HealthCheckRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	const goroutines, files = "go_goroutines", "process_open_fds"
	idle := map[string]float64{goroutines: metric(t, at.Admin, goroutines), files: metric(t, at.Admin, files)}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for i := range streams / 2 {
		// Each list is different, because equal lists share a request.
		streamVehicles(ctx, t, conns[i%connections], int32(10+i), "", nil)
		followLocations(ctx, t, conns[i%connections], time.Time{}, 10, "")
	}
	// Each list has a request, and so a connection of its own. The followers share one.
	eventually(t, "the upstream is asked", func() bool { return metric(t, at.Admin, files) >= idle[files]+streams/2+1 })
	eventually(t, "all streams are open", func() bool { return metric(t, at.Admin, "samsara_gateway_open_streams") == streams })
	busy := metric(t, at.Admin, goroutines)

	began := time.Now()
	cancel()
	for name, before := range idle {
		eventually(t, name+" are as few as before", func() bool { return metric(t, at.Admin, name) <= before })
	}
	took := time.Since(began)
	if took > soon {
		t.Errorf("it took %v to free everything, want at most %v", took, soon)
	}
	for _, name := range []string{"samsara_gateway_open_streams", "samsara_gateway_feed_readers", "samsara_gateway_memory_bytes"} {
		if got := metric(t, at.Admin, name); got != 0 {
			t.Errorf("%s is %v, want 0", name, got)
		}
	}
	t.Logf("%v goroutines idle, %v with %d streams; freed in %v", idle[goroutines], busy, streams, took.Round(time.Millisecond))
}
