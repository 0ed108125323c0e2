package quota_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/quota"
	"samsara.internal/gateway/internal/testenv"
)

// unhurried returns a configuration whose budgets hold nothing up, so that all waits are for Redis.
func unhurried() quota.Config {
	cfg := quota.Defaults()
	cfg.Token = quota.Limit{Requests: 3000, Window: time.Second}
	cfg.Organization = quota.Limit{}
	cfg.StoreTimeout = 100 * time.Millisecond
	cfg.Replicas = 2
	return cfg
}

// do sends a command that must succeed.
func do(args ...any) func(*server) {
	return func(s *server) {
		s.t.Helper()
		if err := s.client.Do(s.t.Context(), args...).Err(); err != nil {
			s.t.Fatalf("%v: %v", args, err)
		}
	}
}

// sending sends the server's process a signal.
func sending(signal syscall.Signal) func(*server) {
	return func(s *server) {
		s.t.Helper()
		if err := s.cmd.Process.Signal(signal); err != nil {
			s.t.Fatal(err)
		}
	}
}

// within waits until a condition holds.
func within(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for begin := time.Now(); !holds(); pause(t.Context(), 5*time.Millisecond) {
		if time.Since(begin) > patience {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// unfailing reports attempts that were refused before their callers went away.
func (c *crowd) unfailing(t *testing.T) {
	t.Helper()
	for name, errs := range c.refused {
		for _, err := range errs {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("replica %s: %v", name, err)
			}
		}
	}
}

// renew keeps renewing permits that have aged, until ctx ends, and keeps what that took under a name.
func (c *crowd) renew(ctx context.Context, name string, o *quota.Operation) {
	for ctx.Err() == nil {
		permit, err := o.Admit(ctx, identity.Identity{Caller: "b"})
		pause(ctx, 100*time.Millisecond)
		began := time.Now()
		err = errors.Join(err, permit.Renew(ctx))
		c.mu.Lock()
		c.waits[name] = append(c.waits[name], time.Since(began))
		if err != nil {
			c.refused[name] = append(c.refused[name], err)
		}
		c.mu.Unlock()
	}
}

func TestTime_redisFaultFailsNoCall(t *testing.T) {
	t.Parallel()
	testenv.Alone(t)
	for _, test := range []struct {
		name        string
		args        []string
		fault, mend func(*server)
		says        string // empty if it is chance which of several errors there is
	}{
		{
			name: "out of memory", says: "OOM command not allowed",
			fault: do("CONFIG", "SET", "maxmemory", 1), mend: do("CONFIG", "SET", "maxmemory", 0),
		},
		{
			name: "become a replica", says: "READONLY",
			fault: do("REPLICAOF", "127.0.0.1", 1), mend: do("REPLICAOF", "NO", "ONE"),
		},
		{
			name: "without the replicas it wants", says: "NOREPLICAS",
			fault: do("CONFIG", "SET", "min-replicas-to-write", 1), mend: do("CONFIG", "SET", "min-replicas-to-write", 0),
		},
		{
			name:  "paused for writing",
			fault: do("CLIENT", "PAUSE", 100_000, "WRITE"), mend: do("CLIENT", "UNPAUSE"),
		},
		{
			name:  "stopped, so that it takes connections and never answers",
			fault: sending(syscall.SIGSTOP), mend: sending(syscall.SIGCONT),
		},
		{
			name: "loading", says: "LOADING", args: []string{"--enable-debug-command", "yes"},
			fault: func(s *server) {
				do("DEBUG", "POPULATE", 10_000, "other", 1000)(s)
				do("CONFIG", "SET", "loading-process-events-interval-bytes", 1024, "key-load-delay", 1000)(s)
				go s.client.Do(s.t.Context(), "DEBUG", "RELOAD")
			},
			mend: do("CONFIG", "SET", "key-load-delay", 0),
		},
		{
			name: "full",
			fault: func(s *server) {
				do("CONFIG", "SET", "maxclients", 1)(s)
				do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")(s)
			},
			mend: do("CONFIG", "SET", "maxclients", 100),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := startRedis(t, test.args...)
			limiters := replicas(t, 2, unhurried(), newRedis(t, s.url()), newRedis(t, s.url()))
			up := func(want bool) func() bool {
				return func() bool {
					return limiters[0].Snapshot().Store.Up == want && limiters[1].Snapshot().Store.Up == want
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c := newCrowd()
			for i, l := range limiters {
				o := operation(t, l, "list", 0, 0)
				flood(ctx, c, 3, fmt.Sprint(i), o, identity.Identity{Caller: "a"})
				c.Go(func() { c.renew(ctx, fmt.Sprint(i), o) })
			}
			within(t, "both replicas are with Redis", up(true))
			pause(ctx, 500*time.Millisecond)
			test.fault(s)
			within(t, "both replicas have noticed", up(false))
			for end := time.Now().Add(time.Second); time.Now().Before(end); pause(ctx, 5*time.Millisecond) {
				if !up(false)() {
					t.Fatal("taken up again while it does not work")
				}
			}
			for i, l := range limiters {
				if err := l.Snapshot().Store.Err; !strings.Contains(err.Error(), test.says) {
					t.Errorf("replica %d says %q, want %q in it", i, err, test.says)
				}
			}
			test.mend(s)
			within(t, "both replicas are back", up(true))
			pause(ctx, 200*time.Millisecond)
			cancel()
			c.Wait()
			c.unfailing(t)
			for name, waits := range c.waits {
				// Ten times as much on a busy machine.
				if got := percentile(waits, 1); got > time.Second {
					t.Errorf("replica %s: a call waited %v, want 100ms at most", name, got)
				}
			}
		})
	}
}

func TestTime_redisDeadConnectionsAreReplaced(t *testing.T) {
	t.Parallel()
	testenv.Alone(t)
	s := startRedis(t)
	p := newProxy(t, "127.0.0.1:"+s.port)
	l := replicas(t, 1, unhurried(), newRedis(t, fmt.Sprintf("redis://:%s@%s", redisPassword, p.addr)))[0]
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := newCrowd()
	flood(ctx, c, 20, "", operation(t, l, "list", 0, 0), identity.Identity{Caller: "a"})
	pause(ctx, time.Second)
	p.forgotten.Add(1)
	within(t, "it is noticed", func() bool { return !l.Snapshot().Store.Up })
	began := time.Now()
	within(t, "Redis is taken up again", func() bool { return l.Snapshot().Store.Up })
	t.Logf("up again after %v", time.Since(began))
	// Connections that were idle then are found out when they are used.
	pause(ctx, time.Second)
	within(t, "Redis is there in the end", func() bool { return l.Snapshot().Store.Up })
	cancel()
	c.Wait()
	c.unfailing(t)
}

func TestRedis_millisecondsAwayIsTakenUp(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	p := newProxy(t, "127.0.0.1:"+s.port)
	p.delay.Store(int64(8 * time.Millisecond))
	l := replicas(t, 1, quota.Defaults(), newRedis(t, fmt.Sprintf("redis://:%s@%s", redisPassword, p.addr)))[0]
	within(t, "a third of the timeout away it is taken up", func() bool { return l.Snapshot().Store.Up })
}

// certificate writes a certificate for 127.0.0.1 that nobody trusts, and its key.
func certificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	key, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	certFile, keyFile = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: server.Certificate().Raw},
		keyFile:  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func TestRedis_reachedByURLPasswordInNoError(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t)
	secure, socket := testenv.Port(t), filepath.Join(t.TempDir(), "redis")
	s := startRedis(t, "--unixsocket", socket, "--tls-port", secure, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-auth-clients", "no")
	// What docs/quota.md says that a user needs.
	do("ACL", "SETUSER", "gateway", "on", ">"+redisPassword, "~samsara-quota:*",
		"+@read", "+@write", "-@dangerous", "+time", "+eval", "+evalsha")(s)
	do("ACL", "SETUSER", "guest", "on", ">"+redisPassword, "~*", "+get")(s)
	at := "@127.0.0.1:" + s.port
	const late = "deadline exceeded"
	for name, test := range map[string]struct {
		url  string
		says string // empty if it works
	}{
		"a password":              {url: s.url()},
		"a user":                  {url: "redis://gateway:" + redisPassword + at},
		"a database":              {url: s.url() + "/3"},
		"a socket":                {url: "unix://:" + redisPassword + "@" + socket},
		"a socket and a database": {url: "unix://:" + redisPassword + "@" + socket + "?db=3"},
		"TLS":                     {url: "rediss://:" + redisPassword + "@127.0.0.1:" + secure + "?skip_verify=true"},

		"a certificate that is not trusted": {"rediss://:" + redisPassword + "@127.0.0.1:" + secure, "failed to verify certificate"},
		"TLS where there is none":           {"rediss://:" + redisPassword + at, late},
		"no TLS where there is":             {"redis://:" + redisPassword + "@127.0.0.1:" + secure, "EOF"},
		"a wrong password":                  {"redis://:not-" + redisPassword + at, "WRONGPASS"},
		"no password":                       {"redis://127.0.0.1:" + s.port, "NOAUTH"},
		"an unknown user":                   {"redis://nobody:" + redisPassword + at, "WRONGPASS"},
		"a user that may not":               {"redis://guest:" + redisPassword + at, "NOPERM"},
		"a database that is not there":      {s.url() + "/99", "DB index is out of range"},
		"no socket":                         {"unix://:" + redisPassword + "@" + socket + "-not", "no such file"},
		"no server":                         {"redis://:" + redisPassword + "@127.0.0.1:" + testenv.Port(t), "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := quota.Defaults()
			cfg.StoreTimeout = 5 * time.Second // for a handshake on a busy machine
			tells := func() quota.StoreState {
				l := replicas(t, 1, cfg, newRedis(t, test.url))[0]
				c := newCrowd()
				if err := c.admit(t.Context(), "", operation(t, l, "list", 5, time.Second), identity.Identity{}); err != nil {
					t.Fatal(err)
				}
				return l.Snapshot().Store
			}
			store := tells()
			// On a busy machine a handshake may take longer than a connection may take to open.
			for again := 0; again < 10 && test.says != late && store.Err != nil && strings.Contains(store.Err.Error(), late); again++ {
				store = tells()
			}
			if store.Err == nil {
				if test.says != "" || !store.Up {
					t.Errorf("it works, want %q", test.says)
				}
				return
			}
			if test.says == "" || !strings.Contains(store.Err.Error(), test.says) {
				t.Errorf("got %q, want %q in it", store.Err, test.says)
			}
			if strings.Contains(store.Err.Error(), redisPassword) {
				t.Errorf("the error tells the password: %v", store.Err)
			}
		})
	}
}

func TestTime_redisFlushedUnderLoadStaysInBounds(t *testing.T) {
	t.Parallel()
	testenv.Alone(t)
	for name, test := range map[string]struct {
		flush func(*server)
		most  int
	}{
		"scripts, which are sent again":            {do("SCRIPT", "FLUSH"), 150},
		"all keys, after which windows begin anew": {do("FLUSHALL"), 2 * 150},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startRedis(t)
			limiters := replicas(t, 3, patient(), newRedis(t, s.url()), newRedis(t, s.url()), newRedis(t, s.url()))
			ctx, cancel := context.WithCancel(t.Context())
			c := newCrowd()
			for i, l := range limiters {
				flood(ctx, c, 50, fmt.Sprint(i), operation(t, l, "list", 0, 0), identity.Identity{Caller: "a"})
			}
			for range 2 {
				pause(ctx, 1250*time.Millisecond)
				test.flush(s)
			}
			pause(ctx, 1250*time.Millisecond)
			cancel()
			c.Wait()
			c.unfailing(t)
			for i, l := range limiters {
				if s := l.Snapshot().Store; s.Lost != 0 {
					t.Errorf("replica %d lost the store: %+v", i, s)
				}
			}
			t.Logf("%d in a second", most(c.all(), time.Second))
			if got := most(c.all(), time.Second); got > test.most {
				t.Errorf("%d in a second, want at most %d", got, test.most)
			}
		})
	}
}

// keys returns the server's keys and how long they last.
func (s *server) keys() map[string]time.Duration {
	s.t.Helper()
	ttls := map[string]time.Duration{}
	for keys := s.client.Scan(s.t.Context(), 0, "*", 1000).Iterator(); keys.Next(s.t.Context()); {
		ttl, err := s.client.PTTL(s.t.Context(), keys.Val()).Result()
		if err != nil {
			s.t.Fatal(err)
		}
		ttls[keys.Val()] = ttl
	}
	return ttls
}

// used returns the memory that the server uses, in bytes.
func (s *server) used() int {
	s.t.Helper()
	info, err := s.client.InfoMap(s.t.Context(), "memory").Result()
	if err != nil {
		s.t.Fatal(err)
	}
	used, err := strconv.Atoi(info["Memory"]["used_memory"])
	if err != nil {
		s.t.Fatal(err)
	}
	return used
}

func TestRedis_thousandsOfBudgetsAreSmallAndExpire(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	cfg := patient()
	cfg.Token, cfg.Organization = quota.Limit{}, quota.Limit{}
	limiters := replicas(t, 3, cfg, newRedis(t, s.url()), newRedis(t, s.url()), newRedis(t, s.url()))
	before := s.used()
	const operations = 3000
	for i := range operations {
		o := operation(t, limiters[i%3], fmt.Sprint("samsara_gateway.vehicles.v1.VehiclesService/ListVehicles", i), 50, time.Hour)
		if i%3 == 0 {
			o.Pause(t.Context(), time.Now())
		}
		c := newCrowd()
		if err := c.admit(t.Context(), "", o, identity.Identity{}); err != nil {
			t.Fatal(err)
		}
	}
	used, keys := s.used()-before, s.keys()
	// There are admissions for each, a third as many states, and the replicas.
	if got, want := len(keys), operations+operations/3+1; got != want {
		t.Errorf("%d keys, want %d", got, want)
	}
	for key, ttl := range keys {
		if ttl <= 0 || ttl > 63*time.Minute { // the window and its margin
			t.Errorf("%s lasts %v", key, ttl)
		}
	}
	t.Logf("%d keys, %d bytes", len(keys), used)
}

func TestRedis_clockGoesBack(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	cfg := patient()
	cfg.MaxWait = 2 * time.Second
	limiters := replicas(t, 2, cfg, newRedis(t, s.url()), newRedis(t, s.url()))
	c := newCrowd()
	here, there := operation(t, limiters[0], "list", 20, time.Second), operation(t, limiters[1], "list", 20, time.Second)
	here.Pause(t.Context(), time.Now().Add(10*time.Millisecond))
	for range 25 {
		c.once(t.Context(), "here", here, identity.Identity{})
	}
	c.Wait()
	// The clock goes back by an hour: all that Redis knows is from an hour ahead.
	const hour = int64(time.Hour / time.Microsecond)
	for key := range s.keys() {
		switch {
		case strings.Contains(key, ":log:"):
			for i, at := range s.client.LRange(t.Context(), key, 0, -1).Val() {
				do("LSET", key, i, number(t, at)+hour)(s)
			}
		case strings.Contains(key, ":state:"):
			for field, at := range s.client.HGetAll(t.Context(), key).Val() {
				if at := number(t, at); at > hour { // a time, not a scale
					do("HSET", key, field, at+hour)(s)
				}
			}
		default:
			for _, z := range s.client.ZRangeWithScores(t.Context(), key, 0, -1).Val() {
				do("ZADD", key, int64(z.Score)+hour, z.Member)(s)
			}
		}
	}
	for name, o := range map[string]*quota.Operation{"here": here, "there": there} {
		if err := c.admit(t.Context(), name, o, identity.Identity{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func number(t testing.TB, text string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRedis_longPauseIsRemembered(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	l := replicas(t, 1, patient(), newRedis(t, s.url()))[0]
	operation(t, l, "list", 5, time.Second).Pause(t.Context(), time.Now().Add(2*time.Hour))
	for key, ttl := range s.keys() {
		if strings.Contains(key, ":state:") && ttl < 2*time.Hour {
			t.Errorf("%s lasts %v, want the 2h of the pause", key, ttl)
		}
	}
}

func TestReplicas_configuredAreTheLeast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(1) // the first of three to start
		cfg := exact()
		cfg.Replicas = 3
		l := replicas(t, 1, cfg, store)[0]
		pause(t.Context(), 5*time.Second)
		store.set(0, true)
		pause(t.Context(), 5*time.Second)
		if got := state(t, l, "token").Effective; got != 50 {
			t.Errorf("without the store the token's budget is %v, want a third of 150", got)
		}
	})
}
