package service_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/testing/protocmp"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/testproto"
	"samsara.internal/gateway/service"
	"samsara.internal/gateway/upstream"
)

// fakeFeed is a feed of records 1, 2, 3 and so on, whose cursors are how many come before.
type fakeFeed struct {
	pager
	mu      sync.Mutex
	records int
	// size is how many records are on a page, and text is what each of them holds.
	size int
	text string
}

func newFakeFeed(t *testing.T, records, size int) *fakeFeed {
	t.Helper()
	f := &fakeFeed{records: records, size: size}
	f.t = t
	f.page = func(_ context.Context, cursor string, _ int) (string, error) {
		from, err := strconv.Atoi("0" + cursor)
		if err != nil {
			return "", err
		}
		return f.from(from), nil
	}
	return f
}

func (f *fakeFeed) from(from int) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	to := min(from+f.size, f.records)
	var records []string
	for id := from + 1; id <= to; id++ {
		records = append(records, fmt.Sprintf(`{"id":"%d","text":%q}`, id, f.text))
	}
	return fmt.Sprintf(`{"data":[%s],"pagination":{"endCursor":"%d","hasNextPage":%t}}`, strings.Join(records, ","), to, to < f.records)
}

func (f *fakeFeed) grow(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.records += n
}

// gaps returns the times between requests.
func (p *pager) gaps() []time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	var gaps []time.Duration
	for i := 1; i < len(p.times); i++ {
		gaps = append(gaps, p.times[i].Sub(p.times[i-1]))
	}
	return gaps
}

// records receives messages until it has as many records as given, which must follow from in order.
func (r *reader) records(from, n int) {
	r.t.Helper()
	for n > 0 {
		m := r.must()
		for _, id := range strings.Fields(m.IDs) {
			if from, n = from+1, n-1; id != strconv.Itoa(from) {
				r.t.Fatalf("got record %s, want %d", id, from)
			}
		}
	}
}

// follows serves up in a bubble and follows the feed.
func follows(t *testing.T, up service.Upstream) *gateway {
	t.Helper()
	return start(t, service.Config{Endpoints: load(t, testproto.Readings), Upstream: up})
}

func TestFollow_afterTheLastPage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := newFakeFeed(t, 5, 2)
		g := follows(t, up)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r := g.open(ctx, t, followReadings, `{"request":{"ids":["b","a"]}}`)
		want := []got{{IDs: "1 2", Cursor: "2"}, {IDs: "3 4", Cursor: "4"}, {IDs: "5", Cursor: "5"}}
		if diff := cmp.Diff(want, []got{r.must(), r.must(), r.must()}); diff != "" {
			t.Errorf("messages (-want +got):\n%s", diff)
		}
		<-time.After(12 * time.Second)
		up.grow(1)
		if diff := cmp.Diff(got{IDs: "6", Cursor: "6"}, r.must()); diff != "" {
			t.Errorf("message (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"", "2", "4", "5", "5", "5"}, up.requests()); diff != "" {
			t.Errorf("cursors asked with (-want +got):\n%s", diff)
		}
		for i, gap := range up.gaps() {
			if polls := i >= 2; polls && (gap < 5*time.Second || gap > 5500*time.Millisecond) || !polls && gap != 0 {
				t.Errorf("request %d came %v after the last", i+1, gap)
			}
		}
		for _, query := range up.queries {
			if query != "/readings/stream?ids=a,b" {
				t.Errorf("a page was asked for by %s", query)
			}
		}
	})
}

func TestFollow_nothingNew(t *testing.T) {
	t.Parallel()
	for name, page := range map[string]func(cursor string, n int) string{
		"though the page always says that more follows":      func(string, int) string { return body("", "a", true) },
		"though the page names another cursor every time":    func(c string, _ int) string { return body("", c+"x", true) },
		"though the page has the same records every time":    func(string, int) string { return body("1", "a", true) },
		"though the last page is empty and names no cursor":  func(string, int) string { return body("", "", false) },
		"though the page has no cursor but the one it is at": func(string, int) string { return body("", "a", false) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				up := &pager{t: t, page: func(_ context.Context, cursor string, n int) (string, error) { return page(cursor, n), nil }}
				g := follows(t, up)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				_, end := g.open(ctx, t, followReadings, `{"options":{"fromCursor":"a"}}`).rest()
				if end.Code() != codes.DeadlineExceeded {
					t.Errorf("stream ended with %v, want DeadlineExceeded", end.Err())
				}
				if n := len(up.requests()); n < 11 || n > 12 {
					t.Errorf("the upstream was asked %d times in a minute, want every 5 to 5.5 seconds", n)
				}
			})
		})
	}
}

func TestFollow_pollInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := newFakeFeed(t, 1, 1)
		g := follows(t, up)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		g.open(ctx, t, followReadings, `{"options":{"pollInterval":"60s"}}`).records(0, 1)
		<-time.After(2 * time.Minute)
		if n := len(up.requests()); n != 2 {
			t.Errorf("the upstream was asked %d times in two minutes, want 2", n)
		}
		// A follower with a shorter poll interval makes the shared reader ask more often.
		g.open(ctx, t, followReadings, `{"options":{"pollInterval":"10s","fromCursor":"1"}}`)
		<-time.After(time.Minute)
		if n := len(up.requests()); n < 7 || n > 8 {
			t.Errorf("the upstream was asked %d times after a minute more, want 5 or 6 times more", n)
		}
	})
}

func TestFollow_failuresOutlasted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := &pager{t: t, page: func(_ context.Context, cursor string, n int) (string, error) {
			switch {
			case cursor == "a" && n == 1:
				return "", &upstream.Error{Code: codes.Unavailable, Reason: apiv1.Reason_REASON_BAD_GATEWAY, Domain: upstream.DomainSamsara, Message: "down", HTTPStatus: 502}
			case cursor == "a" && n == 2:
				return "", &upstream.Error{
					Code: codes.ResourceExhausted, Reason: apiv1.Reason_REASON_RATE_LIMITED, Domain: upstream.DomainSamsara, Message: "slow down", HTTPStatus: 429,
					RetryAfter: 90*time.Second + 400*time.Millisecond, RetryAfterKnown: true,
				}
			case cursor == "a":
				return body("1", "b", false), nil
			default:
				return body("", "b", false), nil
			}
		}}
		g := follows(t, up)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r := g.open(ctx, t, followReadings, `{"options":{"fromCursor":"a"}}`)
		for range 3 {
			m := r.must()
			want := &apiv1.Failure{Code: int32(codes.ResourceExhausted), Reason: "RATE_LIMITED", Message: "slow down", Count: 2}
			if diff := cmp.Diff(want, m.KeepAlive.GetFailure(), protocmp.Transform()); diff != "" {
				t.Errorf("failure (-want +got):\n%s", diff)
			}
			if next := m.KeepAlive.GetNextRequestTime().AsTime(); !next.After(time.Now()) || m.KeepAlive.GetLastAnswerTime() != nil {
				t.Errorf("keep-alive says %v, want a request to come and no answer yet", m.KeepAlive)
			}
			if m.Cursor != "a" {
				t.Errorf("cursor is %q, want a", m.Cursor)
			}
		}
		if diff := cmp.Diff(got{IDs: "1", Cursor: "b"}, r.must()); diff != "" {
			t.Errorf("message (-want +got):\n%s", diff)
		}
		gaps := up.gaps()
		if gaps[0] > time.Second || gaps[1] < 90*time.Second+400*time.Millisecond {
			t.Errorf("waited %v, want up to a second and then what Retry-After says", gaps)
		}
		m := r.must()
		if m.KeepAlive.GetFailure() != nil || m.KeepAlive.GetLastAnswerTime() == nil {
			t.Errorf("keep-alive says %v, want an answer and no failure", m.KeepAlive)
		}
	})
}

func TestFollow_backoff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := &pager{t: t, page: func(ctx context.Context, _ string, _ int) (string, error) {
			return "", &upstream.Error{Code: codes.DeadlineExceeded, Reason: apiv1.Reason_REASON_REQUEST_DEADLINE_EXCEEDED, Message: "late"}
		}}
		g := follows(t, up)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		messages, end := g.open(ctx, t, followReadings, `{}`).rest()
		if end.Code() != codes.DeadlineExceeded {
			t.Errorf("stream ended with %v, want DeadlineExceeded", end.Err())
		}
		for i, gap := range up.gaps() {
			if most := min(time.Second<<min(i, 6), time.Minute); gap > most {
				t.Errorf("wait %d is %v, want at most %v", i, gap, most)
			}
		}
		if n := len(up.requests()); n < 80 {
			t.Errorf("the upstream was asked %d times in an hour, want about every 30 seconds", n)
		}
		last := messages[len(messages)-1].KeepAlive.GetFailure()
		if last.GetCode() != int32(codes.Unavailable) || last.GetReason() != "UPSTREAM_TIMEOUT" {
			t.Errorf("failure is %v, want the page's deadline to show as UNAVAILABLE", last)
		}
	})
}

func TestFollow_lastingFailure(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		answer     string
		err        error
		wantCode   codes.Code
		wantReason string
	}{
		{
			name: "a rejected cursor", wantCode: codes.InvalidArgument, wantReason: "UPSTREAM_CURSOR_REJECTED",
			err: &upstream.Error{Code: codes.InvalidArgument, Reason: apiv1.Reason_REASON_BAD_REQUEST, Domain: upstream.DomainSamsara, Message: "old", HTTPStatus: 400},
		},
		{
			name: "a refusal", wantCode: codes.PermissionDenied, wantReason: "FORBIDDEN",
			err: &upstream.Error{Code: codes.PermissionDenied, Reason: apiv1.Reason_REASON_FORBIDDEN, Domain: upstream.DomainSamsara, Message: "no", HTTPStatus: 403},
		},
		{
			name: "a page that is too large", wantCode: codes.ResourceExhausted, wantReason: "UPSTREAM_BODY_TOO_LARGE",
			err: &upstream.Error{Code: codes.ResourceExhausted, Reason: apiv1.Reason_REASON_UPSTREAM_BODY_TOO_LARGE, Domain: upstream.DomainGateway, Message: "no"},
		},
		{name: "a fault of the gateway", err: errors.New("fault"), wantCode: codes.Internal, wantReason: "GATEWAY_INTERNAL"},
		{name: "a page without pagination", answer: `{"data":[{"id":"9"}]}`, wantCode: codes.Internal, wantReason: "UPSTREAM_PAGINATION_INVALID"},
		{name: "a next page without cursor", answer: body("9", "", true), wantCode: codes.Internal, wantReason: "UPSTREAM_PAGINATION_INVALID"},
		{name: "records without cursor", answer: body("9", "", false), wantCode: codes.Internal, wantReason: "UPSTREAM_PAGINATION_INVALID"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			up := &pager{t: t, page: func(_ context.Context, cursor string, _ int) (string, error) {
				if cursor == "" {
					return body("1", "a", true), nil
				}
				return test.answer, test.err
			}}
			messages, end := follows(t, up).open(t.Context(), t, followReadings, `{}`).rest()
			if end.Code() != test.wantCode || end.reason() != test.wantReason || end.cursor() != "a" {
				t.Errorf("stream ended with %v (reason %s, cursor %q), want %v, %s and a", end.Err(), end.reason(), end.cursor(), test.wantCode, test.wantReason)
			}
			if diff := cmp.Diff([]got{{IDs: "1", Cursor: "a"}}, messages); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFollow_maxPagesAndItems(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, options string
		want          []got
	}{
		{name: "pages", options: `"maxPages":"2"`, want: []got{{IDs: "1 2", Cursor: "2"}, {IDs: "3 4", Cursor: "4"}}},
		{name: "pages, empty ones counted", options: `"maxPages":"5"`, want: []got{{IDs: "1 2", Cursor: "2"}, {IDs: "3 4", Cursor: "4"}, {IDs: "5", Cursor: "5"}}},
		{name: "records", options: `"maxItems":"3"`, want: []got{{IDs: "1 2", Cursor: "2"}, {IDs: "3", Cursor: "2"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				messages, end := follows(t, newFakeFeed(t, 5, 2)).open(t.Context(), t, followReadings, `{"options":{`+test.options+`}}`).rest()
				if end.Code() != codes.OK {
					t.Errorf("stream ended with %v, want OK", end.Err())
				}
				if diff := cmp.Diff(test.want, messages); diff != "" {
					t.Errorf("messages (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestFollow_cursorOfEmptyPages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := &pager{t: t, page: func(_ context.Context, cursor string, _ int) (string, error) { return body("", cursor+"x", false), nil }}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r := follows(t, up).open(ctx, t, followReadings, `{"options":{"keepAliveInterval":"8s"}}`)
		began := time.Now()
		for i, want := range []string{"xx", "xxxx"} {
			if m := r.must(); !strings.HasPrefix(m.Cursor, want[:i+2]) || m.KeepAlive == nil {
				t.Errorf("message %d is %v, want a keep-alive with the cursor", i, m)
			}
			if took := time.Since(began); took != time.Duration(i+1)*8*time.Second {
				t.Errorf("message %d came after %v, want every 8 seconds", i, took)
			}
		}
	})
}

func TestFollow_sharedReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const followers = 500
		up := newFakeFeed(t, 4, 10)
		g := follows(t, up)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var all sync.WaitGroup
		for range followers {
			r := g.open(ctx, t, followReadings, `{}`)
			all.Go(func() { r.records(0, 4+12) })
		}
		began := time.Now()
		for range 12 {
			<-time.After(10 * time.Second)
			up.grow(1)
		}
		all.Wait()
		took := time.Since(began)
		if n, most := len(up.requests()), 2+int(took/(5*time.Second)); n > most {
			t.Errorf("the upstream was asked %d times in %v, want at most %d: as for one follower", n, took, most)
		}
	})
}

func TestFollow_differentFeeds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := newFakeFeed(t, 2, 2)
		g := start(t, service.Config{Endpoints: load(t, testproto.Readings), Upstream: up, SandboxFaults: true})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for _, md := range []metadata.MD{nil, metadata.Pairs("samsara-retry", "always"), metadata.Pairs("samsara-sandbox-fault", "status=503")} {
			g.open(metadata.NewOutgoingContext(ctx, md), t, followReadings, `{}`).records(0, 2)
		}
		g.open(ctx, t, followReadings, `{"request":{"ids":["a"]}}`).records(0, 2)
		if n := len(up.requests()); n != 4 {
			t.Errorf("the upstream was asked %d times, want 4", n)
		}
	})
}

func TestFollow_lateFollower(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := newFakeFeed(t, 2, 2)
		g := follows(t, up)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		g.open(ctx, t, followReadings, `{}`).records(0, 2)
		<-time.After(4 * time.Second)
		g.open(ctx, t, followReadings, `{}`).records(0, 2)
		if n := len(up.requests()); n != 1 {
			t.Errorf("the upstream was asked %d times, want once", n)
		}
	})
}

func TestFollow_slowFollower(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const pages = 40
		up := newFakeFeed(t, pages, 1)
		up.text = strings.Repeat("x", 200_000)
		page := up.page
		up.page = func(ctx context.Context, cursor string, n int) (string, error) {
			if cursor == "" {
				<-time.After(time.Second) // Both followers are there before the first page.
			}
			return page(ctx, cursor, n)
		}
		g := follows(t, up)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		slow := g.open(ctx, t, followReadings, `{}`)
		fast := g.open(ctx, t, followReadings, `{}`)
		fast.records(0, pages)
		// The slow one may have fallen behind, but asks for no more than its client's window takes.
		if n := len(up.requests()); n > pages+10 {
			t.Errorf("the upstream was asked %d times for the fast one's %d pages, want a few times more", n, pages)
		}
		for i := range pages {
			<-time.After(time.Second)
			slow.records(i, 1)
		}
		// Caught up, it shares a reader again.
		<-time.After(15 * time.Second)
		before := len(up.requests())
		<-time.After(time.Minute)
		if n := len(up.requests()) - before; n > 12 {
			t.Errorf("the upstream was asked %d times in a minute, want as for one follower", n)
		}
		up.grow(3)
		slow.records(pages, 3)
		fast.records(pages, 3)
	})
}

func TestFollow_readersMeet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := newFakeFeed(t, 40, 1)
		g := follows(t, up)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var all sync.WaitGroup
		for i := range 8 {
			r := g.open(ctx, t, followReadings, fmt.Sprintf(`{"options":{"fromCursor":"%d"}}`, 5*i))
			all.Go(func() { r.records(5*i, 50-5*i) })
			<-time.After(700 * time.Millisecond)
		}
		<-time.After(20 * time.Second)
		before := len(up.requests())
		<-time.After(time.Minute)
		if n := len(up.requests()) - before; n > 12 {
			t.Errorf("the upstream was asked %d times in a minute, want as for one follower", n)
		}
		up.grow(10)
		all.Wait()
	})
}

func TestFollow_readersWithDifferentCursors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// Each cursor stands for the state of the feed and where its reader came from, until
		// there is news.
		news := make(chan struct{})
		up := &pager{t: t, page: func(_ context.Context, cursor string, _ int) (string, error) {
			select {
			case <-news:
				if cursor == "z" {
					return body("", "z", false), nil
				}
				return body("1", "z", false), nil
			default:
				return body("", cursor, false), nil
			}
		}}
		g := follows(t, up)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var readers []*reader
		for _, cursor := range []string{"a", "b", "c"} {
			readers = append(readers, g.open(ctx, t, followReadings, `{"options":{"fromCursor":"`+cursor+`","keepAliveInterval":"3600s"}}`))
			<-time.After(1900 * time.Millisecond)
		}
		<-time.After(time.Minute)
		up.mu.Lock()
		for i, cursor := range up.asked[:len(up.asked)-3] {
			near := time.Hour
			for j, other := range up.asked {
				if other == "a" {
					near = min(near, up.times[i].Sub(up.times[j]).Abs())
				}
			}
			if i > len(up.asked)/2 && near > time.Second {
				t.Errorf("reader %s asks %v before or after the oldest, want one right after another", cursor, near)
			}
		}
		up.mu.Unlock()
		close(news)
		for _, r := range readers {
			if m := r.must(); m.IDs != "1" {
				t.Errorf("message is %v, want the news", m)
			}
		}
		<-time.After(15 * time.Second)
		before := len(up.requests())
		<-time.After(time.Minute)
		if n := len(up.requests()) - before; n > 12 {
			t.Errorf("the upstream was asked %d times in a minute, want as for one follower", n)
		}
	})
}

// TestFollow_comeAndGo lets clients follow a feed that grows, read as slowly as
// they like, go and come back.
func TestFollow_comeAndGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const clients, records = 20, 90
		up := newFakeFeed(t, 0, 3)
		up.text = strings.Repeat("x", 20_000)
		page := up.page
		up.page = func(ctx context.Context, cursor string, n int) (string, error) {
			if n%7 == 3 {
				return "", &upstream.Error{Code: codes.Unavailable, Reason: apiv1.Reason_REASON_UPSTREAM_RESET, Message: "reset"}
			}
			return page(ctx, cursor, n)
		}
		g := follows(t, up)
		var all sync.WaitGroup
		for client := range clients {
			all.Go(func() {
				random := rand.New(rand.NewPCG(1, uint64(client)))
				for got := 0; got < records; {
					ctx, cancel := context.WithCancel(t.Context())
					r := g.open(ctx, t, followReadings, fmt.Sprintf(`{"options":{"fromCursor":"%d"}}`, got))
					for left := random.IntN(40); left >= 0 && got < records; left-- {
						m := r.must()
						for _, id := range strings.Fields(m.IDs) {
							if got++; id != strconv.Itoa(got) {
								t.Errorf("client %d got record %s, want %d", client, id, got)
							}
						}
						if m.Cursor != strconv.Itoa(got) && got > 0 {
							t.Errorf("client %d is at cursor %s after record %d", client, m.Cursor, got)
						}
						<-time.After(time.Duration(random.IntN(3000)) * time.Millisecond)
					}
					cancel()
				}
			})
		}
		for range records {
			<-time.After(time.Second)
			up.grow(1)
		}
		all.Wait()
	})
}

func TestFollow_leave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var running sync.WaitGroup
		up := &pager{t: t, page: func(ctx context.Context, _ string, _ int) (string, error) {
			running.Add(1)
			defer running.Done()
			<-ctx.Done()
			return "", ctx.Err()
		}}
		g := follows(t, up)
		var cancels []context.CancelFunc
		for range 2 {
			ctx, cancel := context.WithCancel(t.Context())
			cancels = append(cancels, cancel)
			g.open(ctx, t, followReadings, `{}`)
		}
		synctest.Wait()
		cancels[0]()
		synctest.Wait()
		began := time.Now()
		cancels[1]()
		running.Wait()
		if took := time.Since(began); took > time.Second || len(up.requests()) != 1 {
			t.Errorf("%d upstream requests were cancelled %v after the last follower, want 1 at once", len(up.requests()), took)
		}
	})
}

func TestFollow_serverStops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := newFakeFeed(t, 3, 2)
		first := follows(t, up)
		r := first.open(t.Context(), t, followReadings, `{}`)
		r.records(0, 3)
		<-time.After(time.Second)
		began := time.Now()
		if err := first.Stop(t.Context()); err != nil {
			t.Errorf("Stop: %v", err)
		}
		_, end := r.rest()
		if end.Code() != codes.Unavailable || end.reason() != "GATEWAY_DRAINING" || end.cursor() != "3" || time.Since(began) > time.Second {
			t.Errorf("stream ended with %v (cursor %q) after %v, want GATEWAY_DRAINING at once and 3", end.Err(), end.cursor(), time.Since(began))
		}
		up.grow(2)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		follows(t, up).open(ctx, t, followReadings, `{"options":{"fromCursor":"`+end.cursor()+`"}}`).records(3, 2)
	})
}

func TestFollow_panic(t *testing.T) {
	t.Parallel()
	up := &pager{t: t, page: func(context.Context, string, int) (string, error) { panic("upstream") }}
	_, end := follows(t, up).open(t.Context(), t, followReadings, `{}`).rest()
	if end.Code() != codes.Internal || end.reason() != "GATEWAY_INTERNAL" {
		t.Errorf("stream ended with %v, want Internal, GATEWAY_INTERNAL", end.Err())
	}
}

// tally is a service.StreamObserver that adds up.
type tally struct {
	mu                              sync.Mutex
	Streams, Begun, Readers, Chains int
	Pages, Items                    int64
	Outlasted                       []string
}

func (c *tally) OpenStreams(_ bool, delta int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Streams, c.Begun = c.Streams+delta, c.Begun+max(delta, 0)
}

func (c *tally) PageSent(_ bool, items int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Pages, c.Items = c.Pages+1, c.Items+items
}

func (c *tally) FeedReaders(delta int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Readers, c.Chains = c.Readers+delta, c.Chains+max(delta, 0)
}

func (c *tally) FailureOutlasted(code string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Outlasted = append(c.Outlasted, code)
}

func TestStreamObserver_everyEvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := newFakeFeed(t, 3, 2)
		page := up.page
		up.page = func(ctx context.Context, cursor string, n int) (string, error) {
			if cursor == "2" && n == 1 {
				return "", &upstream.Error{Code: codes.Unavailable, Reason: apiv1.Reason_REASON_UPSTREAM_RESET, Message: "reset"}
			}
			return page(ctx, cursor, n)
		}
		observer := new(tally)
		g := start(t, service.Config{Endpoints: load(t, testproto.Readings), Upstream: up, Streams: observer})
		for _, method := range []string{followReadings, streamReadings} {
			request := `{"options":{"maxItems":"3"}}`
			if method == streamReadings {
				request = `{"request":{"id":"7"},"options":{"maxItems":"3"}}`
			}
			if _, end := g.open(t.Context(), t, method, request).rest(); end.Code() != codes.OK {
				t.Errorf("%s ended with %v", method, end.Err())
			}
		}
		_ = g.stopAndReadLog(t)
		want := &tally{Begun: 2, Chains: 1, Pages: 4, Items: 6, Outlasted: []string{"Unavailable"}}
		if diff := cmp.Diff(want, observer, cmpopts.IgnoreUnexported(tally{})); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
	})
}
