package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	tagsv1 "samsara.internal/gateway/gen/tags/v1"
	"samsara.internal/gateway/internal/testenv"
)

// tokenUpstream is an upstream that knows only tags, and accepts the tokens of the last accept.
type tokenUpstream struct {
	url      string
	accepted atomic.Pointer[[]string]
	refused  atomic.Int64
}

func startTokenUpstream(t *testing.T, tokens ...string) *tokenUpstream {
	t.Helper()
	u := &tokenUpstream{}
	u.accept(tokens...)
	u.url = "http://" + serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		answer := `{"data":{"id":"1","name":"one"}}`
		if !slices.Contains(*u.accepted.Load(), token) {
			u.refused.Add(1)
			w.WriteHeader(http.StatusUnauthorized)
			answer = `{"message":"Invalid token."}`
		}
		_, _ = io.WriteString(w, answer) // A gateway that has gone needs no answer.
	}))
	return u
}

func (u *tokenUpstream) accept(tokens ...string) { u.accepted.Store(&tokens) }

// flags returns the flags of a gateway before the upstream.
func (u *tokenUpstream) flags(tokenFile string) []string {
	return append(flagsAt(u.url, tokenFile), "--quota=false")
}

// replace replaces the content of a file atomically.
func replace(t *testing.T, path, content string) {
	t.Helper()
	fresh := path + ".new"
	if err := os.WriteFile(fresh, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(fresh, path); err != nil {
		t.Fatal(err)
	}
}

// tokenFile returns the path of a new file with this content.
func tokenFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	replace(t, path, content)
	return path
}

// tagLoad makes calls about tags at a gateway. Each worker calls without pause, except for a few
// milliseconds. Half of the workers read, and half write.
type tagLoad struct {
	calls, again atomic.Int64 // again counts calls with more than one attempt.

	mu     sync.Mutex
	failed []error

	end     context.CancelFunc
	running sync.WaitGroup
}

func startTagLoad(t *testing.T, address string) *tagLoad {
	t.Helper()
	const workers = 4
	l := &tagLoad{}
	var ctx context.Context
	ctx, l.end = context.WithCancel(t.Context())
	client := tagsv1.NewTagsServiceClient(connect(t, address, insecure.NewCredentials()))
	repeat(ctx, &l.running, workers, 2*time.Millisecond, func(n int) {
		attempts, err := callTags(context.WithoutCancel(ctx), client, n%2 == 1)
		l.calls.Add(1)
		if attempts != "1" {
			l.again.Add(1)
		}
		if err != nil {
			l.mu.Lock()
			l.failed = append(l.failed, err)
			l.mu.Unlock()
		}
	})
	t.Cleanup(func() { l.stop() })
	l.wait(t, 20)
	return l
}

// repeat has workers call do until ctx ends, each at most once per interval. It does not interrupt a call
// of do.
func repeat(ctx context.Context, running *sync.WaitGroup, workers int, every time.Duration, do func(worker int)) {
	for n := range workers {
		running.Go(func() {
			tick := time.NewTicker(every)
			defer tick.Stop()
			for ctx.Err() == nil {
				do(n)
				<-tick.C
			}
		})
	}
}

// callTags reads or writes a tag. It returns samsara-attempts.
func callTags(ctx context.Context, client tagsv1.TagsServiceClient, write bool) (attempts string, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	call := readTag
	if write {
		call = createTag
	}
	var header, trailer metadata.MD
	err = call(ctx, client, "1", grpc.Header(&header), grpc.Trailer(&trailer))
	return strings.Join(append(header.Get("samsara-attempts"), trailer.Get("samsara-attempts")...), " "), err
}

// wait waits until so many more calls have ended.
func (l *tagLoad) wait(t *testing.T, more int64) {
	t.Helper()
	until := l.calls.Load() + more
	eventually(t, "calls end", func() bool { return l.calls.Load() >= until })
}

// stop ends the load and returns the errors of the calls that failed.
func (l *tagLoad) stop() []error {
	l.end()
	l.running.Wait()
	return l.failed
}

// wantNoFailure ends the load and checks that every call succeeded.
func (l *tagLoad) wantNoFailure(t *testing.T) {
	t.Helper()
	failed := l.stop()
	t.Logf("%d calls, %d failed", l.calls.Load(), len(failed))
	if len(failed) > 0 {
		t.Errorf("%d of %d calls failed, the first with: %v", len(failed), l.calls.Load(), failed[0])
	}
}

// wantFewLines checks that a process has logged only a handful of lines since it had logged before of them.
func wantFewLines(t *testing.T, p *process, before int) {
	t.Helper()
	const handful = 6
	lines, text, _ := p.log()
	logged := 0
	for _, line := range lines[before:] {
		if line.Message != "call finished" || line.Code != codes.OK.String() { // These have a bound of their own.
			logged++
		}
	}
	t.Logf("%d lines", logged)
	if logged > handful {
		t.Errorf("%d lines were logged, want %d at most; the last are:\n%s", logged, handful, text[max(0, len(text)-1000):])
	}
}

// outage returns how long a file is away in tests. The gateway reads its files once a second.
func outage(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("SAMSARA_TEST_OUTAGE")
	if text == "" {
		return 2500 * time.Millisecond
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestToken_fileGone(t *testing.T) {
	t.Parallel()
	for name, take := range map[string]func(path string) error{
		"removed":                 os.Remove,
		"emptied":                 func(path string) error { return os.Truncate(path, 0) },
		"not a token any more":    func(path string) error { return os.WriteFile(path, []byte("two\nlines"), 0o600) },
		"much too large":          func(path string) error { return os.Truncate(path, 1<<40) },
		"a directory":             func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
		"a pipe without a writer": func(path string) error { return errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := startTokenUpstream(t, "one", "two")
			path := tokenFile(t, "one")
			p := start(t, u.flags(path)...)
			at := p.await(t, "serving")
			load := startTagLoad(t, at.GRPC)
			before, _, _ := p.log()

			if err := take(path); err != nil {
				t.Fatal(err)
			}
			letPass(t, outage(t))
			if code, text := get(t, "http://"+at.Admin+"/readyz", ""); code != http.StatusOK || !strings.Contains(text, "api-token") {
				t.Errorf("/readyz: got %d %q, want 200 and the file named", code, text)
			}
			if got := metric(t, at.Admin, "samsara_gateway_file_consecutive_failures", `file="api-token"`); got < 1 {
				t.Errorf("file_consecutive_failures: got %v, want 1 at least", got)
			}
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			replace(t, path, "two")
			u.accept("two")
			load.wait(t, 20)
			load.wantNoFailure(t)
			eventually(t, "the file is read again", func() bool {
				return metric(t, at.Admin, "samsara_gateway_file_consecutive_failures", `file="api-token"`) == 0
			})
			wantFewLines(t, p, len(before))
			p.stop(t)
		})
	}
}

// TestToken_descriptorsAreLeft opens more connections than the gateway may have descriptors: clients get half of these, and
// files, Samsara and probes have the rest.
func TestToken_descriptorsAreLeft(t *testing.T) {
	t.Parallel()
	u := startTokenUpstream(t, "one")
	p := startCommand(t, nil, append([]string{"/bin/sh", "-c", `ulimit -n 128; exec "$@"`, "sh", testenv.Tool(t, "gateway")}, u.flags(tokenFile(t, "one"))...)...)
	at := p.await(t, "serving")
	load := startTagLoad(t, at.GRPC)

	var strangers []net.Conn
	hangUpAll := func() { hangUp(strangers...); strangers = nil }
	defer hangUpAll()
	for range 200 { // Connections that the gateway cannot accept wait in the backlog of its socket.
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", at.GRPC)
		if err != nil {
			t.Fatal(err)
		}
		strangers = append(strangers, conn)
	}
	letPass(t, outage(t))
	if code, text := get(t, "http://"+at.Admin+"/readyz", ""); code != http.StatusOK || text != "ready\n" {
		t.Errorf("/readyz: got %d %q", code, text)
	}
	hangUpAll()
	load.wait(t, 20)
	load.wantNoFailure(t)
	if got := metric(t, at.Admin, "samsara_gateway_file_looks_total", `file="api-token"`, `result="failed"`); got != 0 {
		t.Errorf("file_looks_total of failures: got %v, want 0", got)
	}
	if got := metric(t, at.Admin, "samsara_gateway_connections_refused_total"); got < 100 {
		t.Errorf("%v connections were refused, want 100 at least", got)
	}
	p.await(t, "fewer connections than configured: the process may open too few files")
	p.stop(t)
}

func TestToken_rotatedAndOldOneRevoked(t *testing.T) {
	t.Parallel()
	for name, upstreamFirst := range map[string]bool{"the file is first": false, "the upstream is first": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := startTokenUpstream(t, "one")
			path := tokenFile(t, "one")
			p := start(t, u.flags(path)...)
			at := p.await(t, "serving")
			load := startTagLoad(t, at.GRPC)
			if upstreamFirst {
				u.accept("two")
				eventually(t, "a call is refused", func() bool { return u.refused.Load() > 0 })
				replace(t, path, "two")
			} else {
				u.accept("one", "two")
				replace(t, path, "two")
				u.accept("two")
			}
			load.wait(t, 200)
			load.wantNoFailure(t)
			t.Logf("%d calls, %d of them with more than one attempt, %d attempts refused", load.calls.Load(), load.again.Load(), u.refused.Load())
			if refused, again := u.refused.Load(), load.again.Load(); again != refused {
				t.Errorf("%d attempts were refused and %d calls had a second attempt, want as many", refused, again)
			}
			p.stop(t)
		})
	}
}

func TestToken_wrong(t *testing.T) {
	t.Parallel()
	u := startTokenUpstream(t, "one")
	path := tokenFile(t, "wrong")
	p := start(t, u.flags(path)...)
	at := p.await(t, "serving")
	client := tagsv1.NewTagsServiceClient(connect(t, at.GRPC, insecure.NewCredentials()))
	const calls = 500
	began := time.Now()
	for n := range calls {
		attempts, err := callTags(t.Context(), client, n%2 == 1)
		if status.Code(err) != codes.Unauthenticated || attempts != "1" {
			t.Fatalf("call %d: got %v after %q attempts, want Unauthenticated after 1", n, err, attempts)
		}
	}
	looks, took := metric(t, at.Admin, "samsara_gateway_file_looks_total", `file="api-token"`), time.Since(began)
	t.Logf("%d calls in %v looked at the file %v times", calls, took.Round(time.Millisecond), looks)
	if most := 4 + 2*took.Seconds(); looks < 1 || looks > most {
		t.Errorf("the file was looked at %v times in %v, want 1 to %v", looks, took, most)
	}
	if got := u.refused.Load(); got != calls {
		t.Errorf("%d requests were made, want %d", got, calls)
	}
	replace(t, path, "one")
	eventually(t, "the right token is read", func() bool {
		_, err := callTags(t.Context(), client, true)
		return err == nil
	})
	p.stop(t)
}

func TestSIGHUP_underLoad(t *testing.T) {
	t.Parallel()
	u := startTokenUpstream(t, "one")
	p := start(t, u.flags(tokenFile(t, "one"))...)
	at := p.await(t, "serving")
	load := startTagLoad(t, at.GRPC)
	for range 5 {
		p.signal(t, syscall.SIGHUP)
		load.wait(t, 20)
	}
	load.wantNoFailure(t)
	p.stop(t)
}

// TestSIGHUP_sandboxAlone sends SIGHUP to a sandbox without a gateway, which has no files to read again.
func TestSIGHUP_sandboxAlone(t *testing.T) {
	t.Parallel()
	p := start(t, "sandbox", "--listen=127.0.0.1:0", "--token=open", "--log-format=json")
	url := p.await(t, "serving").Sandbox
	p.signal(t, syscall.SIGHUP)
	for range 10 {
		if code, _ := get(t, url+"/fleet/vehicles", "open"); code != http.StatusOK {
			t.Fatalf("after SIGHUP: got %d", code)
		}
	}
	p.stop(t)
}

// TestLog_outage counts the lines of a gateway while every call fails.
func TestLog_outage(t *testing.T) {
	t.Parallel()
	u := startTokenUpstream(t, "one")
	p := start(t, append(u.flags(tokenFile(t, "one")), "--access-log-rate=0")...)
	at := p.await(t, "serving")
	load := startTagLoad(t, at.GRPC)
	before, _, _ := p.log()
	u.accept() // No token is accepted: all calls fail, and each is logged.
	began := time.Now()
	letPass(t, outage(t))
	failed, took := len(load.stop()), time.Since(began)
	finished, suppressed := 0, 0
	eventually(t, "every line is written or counted", func() bool {
		finished, suppressed = 0, 0
		lines, _, _ := p.log()
		for _, line := range lines {
			if line.Message == "call finished" {
				finished++
			}
			suppressed += line.Suppressed
		}
		return finished+suppressed >= failed
	})
	lines, _, _ := p.log()
	written := len(lines) - len(before)
	t.Logf("%d calls failed in %v: %d lines, %d left out", failed, took.Round(time.Millisecond), written, suppressed)
	if finished+suppressed != failed {
		t.Errorf("%d lines and %d left out, want %d together", finished, suppressed, failed)
	}
	if most := 20 + 11*int(took.Seconds()+1); written > most {
		t.Errorf("%d lines were logged, want %d at most", written, most)
	}
	p.stop(t)
}
