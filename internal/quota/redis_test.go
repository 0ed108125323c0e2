package quota_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/quota"
	"samsara.internal/gateway/internal/quota/redisstore"
	"samsara.internal/gateway/internal/testenv"
)

const redisPassword = "a-secret-of-redis"

// patience bounds every wait for Redis. A machine that is busy may need much of it.
const patience = 30 * time.Second

// server is a real redis-server of the test's own.
type server struct {
	t    testing.TB
	port string
	args []string
	cmd  *exec.Cmd
	// client may do anything. It connects when it is first used.
	client *redis.Client
}

// startRedis starts a server with more arguments on its command line.
func startRedis(t testing.TB, args ...string) *server {
	t.Helper()
	s := &server{t: t, port: testenv.Port(t), args: args}
	s.start()
	t.Cleanup(s.kill)
	options, err := redis.ParseURL(s.url())
	if err != nil {
		t.Fatal(err)
	}
	s.client = redis.NewClient(options)
	t.Cleanup(func() { _ = s.client.Close() })
	return s
}

// start returns when the server takes connections.
func (s *server) start() {
	s.t.Helper()
	args := []string{"--port", s.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--requirepass", redisPassword}
	s.cmd = exec.Command(testenv.Tool(s.t, "redis-server"), append(args, s.args...)...)
	s.cmd.Dir = s.t.TempDir()
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "Ready to accept connections") {
			return
		}
	}
	s.t.Fatal("redis-server ended before it was ready")
}

func (s *server) kill() {
	// The error of Wait is that it was killed.
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

func (s *server) url() string {
	return fmt.Sprintf("redis://:%s@127.0.0.1:%s", redisPassword, s.port)
}

// admissions returns the times of a budget's admissions by version 1, by the server's clock.
func (s *server) admissions(budget string) []time.Time {
	s.t.Helper()
	return s.times("samsara-quota:{org}:log:" + budget)
}

// times returns the times under a key, the oldest first.
func (s *server) times(key string) []time.Time {
	s.t.Helper()
	texts, err := s.client.LRange(s.t.Context(), key, 0, -1).Result()
	if err != nil {
		s.t.Fatal(err)
	}
	times := make([]time.Time, len(texts))
	for i, text := range texts {
		micros, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			s.t.Fatal(err)
		}
		times[len(texts)-1-i] = time.UnixMicro(micros)
	}
	return times
}

func newRedis(t testing.TB, url string) *redisstore.Store {
	t.Helper()
	store, err := redisstore.New(redisstore.Config{URL: url, Organization: "org", Token: "t"})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// patient waits for Redis as long as a busy test machine may need.
func patient() quota.Config {
	cfg := quota.Defaults()
	cfg.StoreTimeout = time.Second
	return cfg
}

func TestTime_redisKeepsBudgetOfThreeReplicas(t *testing.T) {
	t.Parallel()
	testenv.Alone(t)
	s := startRedis(t)
	cfg := patient()
	cfg.Margin = 0.01 // the server's clock has no jitter
	limiters := replicas(t, 3, cfg, newRedis(t, s.url()), newRedis(t, s.url()), newRedis(t, s.url()))
	ctx, cancel := context.WithCancel(t.Context())
	c := newCrowd()
	begin := time.Now()
	for i, l := range limiters {
		flood(ctx, c, 100, fmt.Sprint(i), operation(t, l, "list", 0, 0), identity.Identity{Caller: "a"})
	}
	pause(ctx, 3500*time.Millisecond)
	lasted := time.Since(begin)
	admitted := s.admissions("token:t") // the last 4 seconds
	cancel()
	c.Wait()
	for i, l := range limiters {
		if s := l.Snapshot().Store; !s.Up || s.Lost != 0 || s.Replicas != 3 {
			t.Errorf("replica %d has a store %+v", i, s)
		}
	}
	if got := most(admitted, 1010*time.Millisecond); got > 150 {
		t.Errorf("%d in a window by the server's clock, want at most 150", got)
	}
	// Half of it on a busy machine; virtual time says how much exactly.
	if got, want := len(c.all()), int(0.5*150*lasted.Seconds()); got < want {
		t.Errorf("%d admitted in %v, want at least %d", got, lasted, want)
	}
	t.Logf("%d admitted in %v: %d, %d, %d; at most %d in a second", len(c.all()), lasted,
		len(c.admitted["0"]), len(c.admitted["1"]), len(c.admitted["2"]), most(c.all(), time.Second))
}

func TestRedis_lateAttemptCountsFromWhenWritten(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	cfg := patient()
	cfg.Margin = 0
	o := operation(t, replicas(t, 1, cfg, newRedis(t, s.url()))[0], "list", 10, time.Second)
	permits := admitted(t, o, 3)
	before := s.admissions("operation:list")
	if err := permits[1].Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := s.admissions("operation:list")
	if len(before) != 3 || len(after) != 3 {
		t.Fatalf("there were %d admissions and then %d, want 3 and 3", len(before), len(after))
	}
	if !after[0].Equal(before[0]) || !after[1].Equal(before[2]) || !after[2].After(before[2]) {
		t.Errorf("the admissions were at %v and then at %v, want the second last", before, after)
	}
}

func TestTime_redisRestartedUnderLoadFailsNoCall(t *testing.T) {
	t.Parallel()
	testenv.Alone(t)
	s := startRedis(t)
	cfg := quota.Defaults()
	cfg.Replicas = 3
	limiters := replicas(t, 3, cfg, newRedis(t, s.url()), newRedis(t, s.url()), newRedis(t, s.url()))
	ctx, cancel := context.WithCancel(t.Context())
	c := newCrowd()
	for i, l := range limiters {
		flood(ctx, c, 80, fmt.Sprint(i), operation(t, l, "list", 0, 0), identity.Identity{Caller: "a"})
	}
	pause(ctx, time.Second)
	s.kill()
	pause(ctx, 1500*time.Millisecond)
	for i, l := range limiters {
		if s := l.Snapshot().Store; s.Up || s.Lost == 0 || s.Err == nil {
			t.Errorf("while Redis is away replica %d has a store %+v", i, s)
		} else if strings.Contains(s.Err.Error(), redisPassword) {
			t.Errorf("the error tells the password: %v", s.Err)
		}
	}
	s.start()
	restarted := time.Now()
	within(t, "Redis is taken up again", func() bool {
		return limiters[0].Snapshot().Store.Up && limiters[1].Snapshot().Store.Up && limiters[2].Snapshot().Store.Up
	})
	recovered := time.Since(restarted)
	pause(ctx, 1500*time.Millisecond)
	cancel()
	c.Wait()
	for name, errs := range c.refused {
		for _, err := range errs {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("replica %s: %v", name, err)
			}
		}
	}
	if got := most(c.all(), time.Second); got > 2*150 {
		t.Errorf("%d in a second, want at most twice the budget", got)
	}
	t.Logf("%d admitted, at most %d in a second; up again after %v", len(c.all()), most(c.all(), time.Second), recovered)
}

func TestTime_redisSlowHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	testenv.Alone(t)
	s := startRedis(t)
	p := newProxy(t, "127.0.0.1:"+s.port)
	l := replicas(t, 1, quota.Defaults(), newRedis(t, fmt.Sprintf("redis://:%s@%s", redisPassword, p.addr)))[0]
	o := operation(t, l, "list", 0, 0)
	if _, err := o.Admit(t.Context(), identity.Identity{}); err != nil {
		t.Fatal(err)
	}
	if s := l.Snapshot().Store; !s.Up {
		t.Fatalf("the store is %+v", s)
	}
	p.delay.Store(int64(time.Second))
	c := newCrowd()
	for range 10 {
		c.once(t.Context(), "at once", o, identity.Identity{})
	}
	c.Wait()
	for range 10 {
		_ = c.admit(t.Context(), "after", o, identity.Identity{})
	}
	// Ten times as much on a busy machine; virtual time says 25 ms exactly.
	if got := percentile(c.waits["at once"], 1); got > 250*time.Millisecond {
		t.Errorf("waited %v for a slow Redis, want about 25ms", got)
	}
	if got := percentile(c.waits["after"], 1); got > 250*time.Millisecond {
		t.Errorf("waited %v after that, want nothing", got)
	}
	t.Logf("waited %v for the slow Redis, %v after that", percentile(c.waits["at once"], 1), percentile(c.waits["after"], 1))
}

func TestTime_redisPauseHoldsForAllReplicas(t *testing.T) {
	t.Parallel()
	testenv.Alone(t)
	s := startRedis(t)
	limiters := replicas(t, 2, patient(), newRedis(t, s.url()), newRedis(t, s.url()))
	here, there := operation(t, limiters[0], "list", 20, time.Second), operation(t, limiters[1], "list", 20, time.Second)
	until := time.Now().Add(402350 * time.Microsecond)
	here.Pause(t.Context(), until)
	here.Pause(t.Context(), until.Add(-200*time.Millisecond))
	for i, o := range []*quota.Operation{here, there} {
		if _, err := o.Admit(t.Context(), identity.Identity{}); err != nil {
			t.Fatal(err)
		}
		if early := time.Until(until); early > time.Millisecond {
			t.Errorf("replica %d was admitted %v too early", i, early)
		}
	}
	a, b := state(t, limiters[0], "operation:list").Effective, state(t, limiters[1], "operation:list").Effective
	if a > 10 || b > 10 {
		t.Errorf("they resume with %v and %v a second, want a quarter of 20 and a little", a, b)
	}
}

func TestTime_redisDifferentLimitsAreEachKept(t *testing.T) {
	t.Parallel()
	testenv.Alone(t)
	s := startRedis(t)
	limiters := replicas(t, 2, patient(), newRedis(t, s.url()), newRedis(t, s.url()))
	low, high := operation(t, limiters[0], "list", 5, time.Minute), operation(t, limiters[1], "list", 20, 10*time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	c := newCrowd()
	for range 10 {
		c.once(ctx, "low", low, identity.Identity{})
	}
	flood(ctx, c, 10, "high", high, identity.Identity{})
	c.Wait()
	if got := len(c.admitted["low"]); got > 5 {
		t.Errorf("%d by the low limit, want 5 at most", got)
	}
	if got := len(c.all()); got != 20 {
		t.Errorf("%d by both, want the 20 of the high limit", got)
	}
}

// TestRedis_oneReplicaOfVersion1 has a limit of 8 in 2 s, of which version 1 admitted 4 at once. A
// replica is of version 1 unless its name begins with another.
func TestRedis_oneReplicaOfVersion1(t *testing.T) {
	t.Parallel()
	const limit, window = 8, 2 * time.Second
	s := startRedis(t)
	here := time.Now()
	do("ZADD", "samsara-quota:{org}:replicas", here.UnixMicro(), "OF-VERSION-1")(s) // for 3 s
	cfg := patient()
	cfg.Margin = 0
	l := replicas(t, 1, cfg, newRedis(t, s.url()))[0]
	o := operation(t, l, "list", limit, window)
	c := newCrowd()
	for range limit {
		c.once(t.Context(), "mixed", o, identity.Identity{})
	}
	c.Wait()
	if got := most(s.admissions("operation:list"), window/2); got > 4 {
		t.Errorf("with a replica of version 1 %d of its admissions were in %v, want 4 at most", got, window/2)
	}
	if got := c.all(); len(got) != limit || got[limit-1].Sub(got[0]) < window/4 {
		t.Errorf("with a replica of version 1 %d were admitted in %v, want %d, half of them later", len(got), got[len(got)-1].Sub(got[0]), limit)
	}
	if got := l.Snapshot().Store.Replicas; got != 2 {
		t.Errorf("%d replicas, want 2: those of all versions", got)
	}
	// Until a window after it was last seen, which may be a second after its name has expired.
	pause(t.Context(), time.Until(here.Add(4*time.Second+window)))
	c = newCrowd()
	for range limit {
		c.once(t.Context(), "alone", o, identity.Identity{})
	}
	c.Wait()
	admitted := s.times("samsara-quota:2:{org}:log:operation:list")
	if got := admitted[len(admitted)-1].Sub(admitted[len(admitted)-limit]); got > window/4 {
		t.Errorf("without, %d were admitted within %v, want them at once", limit, got)
	}
}

func TestRedis_badConfigHidesPassword(t *testing.T) {
	t.Parallel()
	for _, cfg := range []redisstore.Config{
		{URL: "redis://:" + redisPassword + "@host:port", Organization: "org", Token: "t"},
		{URL: "http://:" + redisPassword + "@host", Organization: "org", Token: "t"},
		{URL: "redis://:" + redisPassword + "@host\x7f/", Organization: "org", Token: "t"},
		{URL: "redis://host", Token: "t"},
		{URL: "redis://host", Organization: "o{r}g", Token: "t"},
		{URL: "redis://host", Organization: "org"},
	} {
		_, err := redisstore.New(cfg)
		if err == nil {
			t.Errorf("%+v was taken", cfg)
		} else if strings.Contains(err.Error(), redisPassword) {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

// proxy passes bytes on to a server, and its answers after a delay.
type proxy struct {
	addr  string
	delay atomic.Int64
	// forgotten is how often all connections were forgotten: nothing comes back on them.
	forgotten atomic.Int64
}

func newProxy(t testing.TB, to string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: listener.Addr().String()}
	var running sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() {
		cancel()
		_ = listener.Close()
		running.Wait()
	})
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			upstream, err := net.Dial("tcp", to)
			if err != nil {
				_ = client.Close()
				continue
			}
			context.AfterFunc(ctx, func() { _, _ = client.Close(), upstream.Close() })
			running.Go(func() { _, _ = io.Copy(upstream, client); _ = upstream.Close() })
			running.Go(func() { p.answers(ctx, client, upstream) })
		}
	})
	return p
}

func (p *proxy) answers(ctx context.Context, client, upstream net.Conn) {
	defer func() { _ = client.Close() }()
	buffer := make([]byte, 64<<10)
	forgotten := p.forgotten.Load()
	for {
		n, err := upstream.Read(buffer)
		if err != nil {
			return
		}
		if p.forgotten.Load() != forgotten {
			continue
		}
		pause(ctx, time.Duration(p.delay.Load()))
		if _, err := client.Write(buffer[:n]); err != nil {
			return
		}
	}
}
