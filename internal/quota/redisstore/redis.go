// Package redisstore shares the budgets of package quota between processes, in Redis 5 or later, or
// Valkey.
//
// # Versions of the format
//
// Replicas of different builds may use one Redis at a time, during an upgrade above all. What
// changes its meaning gets a new key, whose prefix tells the version that brought it:
//
//	samsara-quota:{ORGANIZATION}:replicas       1  who is there
//	samsara-quota:{ORGANIZATION}:state:BUDGET   1  the budget's pause and pace
//	samsara-quota:{ORGANIZATION}:log:BUDGET     1  its last admissions, of a window of a second or less
//	samsara-quota:2:{ORGANIZATION}:log:BUDGET   2  its last admissions, of a longer window
//	samsara-quota:2:{ORGANIZATION}:version1     2  when a replica of version 1 was last seen
//
// Version 1 admitted one second's worth at once, and kept no more than that of a longer window. A
// replica says by its name which version it is of. While one of version 1 is there, and for a window
// after, an admission from a longer window is taken by both versions: in version 1's log by its terms,
// and in the present one. So all replicas together keep to the limit at any time of an upgrade, and
// admit no less than before it. Going back is not exact: for a window after the first replica of
// version 1 came, a limit whose window is longer than a second may be exceeded, twofold at most.
//
// A later version does the same with what it changes, and says in its name that it is there.
package redisstore

import (
	"context"
	"crypto/rand"
	_ "embed" // the scripts
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"samsara.internal/gateway/internal/quota"
)

//go:embed take.lua
var takeScript string

//go:embed pause.lua
var pauseScript string

//go:embed beat.lua
var beatScript string

const (
	// version is the version of the format. The name of a replica begins with it.
	version = "2:"
	// replicaMemory is for how long a replica counts after its last heartbeat.
	replicaMemory = 3 * quota.BeatInterval
	// versionMemory is longer than any window, even one that 429s have lengthened.
	versionMemory = 20 * 24 * time.Hour
	// million is the unit of scales on the wire: they are millionths.
	million = 1_000_000
)

// Config configures a Store. All fields are required.
type Config struct {
	// URL is redis://, rediss:// or unix://, with credentials if necessary. No error holds it.
	URL string
	// Organization and Token name the owners of the budgets. Processes that give the same names share
	// them. Token is not the token itself, because the names can be seen in Redis.
	Organization, Token string
}

// Store is a quota.Store. Each decision is one script that uses the server's clock, so processes
// need not agree on the time. All keys expire. Those of an organization have one hash tag, so that
// they may be behind a cluster's proxy. The client itself talks to one server and follows no
// redirections. A Store is safe for concurrent use.
type Store struct {
	client *redis.Client
	// prefix and prefix2 begin the keys of versions 1 and 2.
	prefix, prefix2   string
	token, id         string
	take, pause, beat *redis.Script
}

// New returns a Store. It does not connect.
func New(cfg Config) (*Store, error) {
	for name, text := range map[string]string{"organization": cfg.Organization, "token": cfg.Token} {
		if text == "" || strings.ContainsAny(text, "{}") {
			return nil, fmt.Errorf("quota: redis: the name of the %s must not be empty or hold braces, as %q does", name, text)
		}
	}
	options, err := redis.ParseURL(cfg.URL)
	if err != nil {
		// The error quotes the URL, with its password.
		return nil, errors.New("quota: redis: the URL is not a valid redis://, rediss:// or unix://")
	}
	// The client has one logger for the process, and writes there what it also returns.
	redis.SetLogger(&logging.VoidLogger{})
	options.ContextTimeoutEnabled = true
	options.MaxRetries = -1
	options.DialerRetries = 1
	options.DialTimeout = time.Second
	// Each of these would cost a new connection another round trip within the store's timeout.
	options.DisableIdentity = true
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return &Store{
		client:  redis.NewClient(options),
		prefix:  "samsara-quota:{" + cfg.Organization + "}:",
		prefix2: "samsara-quota:" + version + "{" + cfg.Organization + "}:",
		token:   cfg.Token,
		id:      version + rand.Text(),
		take:    redis.NewScript(takeScript),
		pause:   redis.NewScript(pauseScript),
		beat:    redis.NewScript(beatScript),
	}, nil
}

// Take implements quota.Store.
func (r *Store) Take(ctx context.Context, claims []quota.Claim, instead quota.Stamp) (quota.Ruling, error) {
	keys, args := make([]string, 0, 3*len(claims)+1), make([]any, 0, 1+5*len(claims))
	args = append(args, int64(instead))
	for _, c := range claims {
		name := r.name(c.Budget)
		key, key1, requests1, window1 := r.prefix2+"log:"+name, r.prefix+"log:"+name, 0, time.Duration(0)
		if burst := burst1(c.Requests, c.Configured); burst < c.Requests {
			requests1, window1 = burst, time.Duration(math.Ceil(float64(c.Window)*float64(burst)/float64(c.Requests)))
		} else {
			key = key1
		}
		keys = append(keys, key, r.prefix+"state:"+name, key1)
		args = append(args, c.Requests, micros(c.Window), micros(c.Pace), requests1, micros(window1))
	}
	reply, err := r.take.Run(ctx, r.client, append(keys, r.version1()), args...).Int64Slice()
	if err != nil {
		return quota.Ruling{}, fmt.Errorf("quota: redis: %w", err)
	}
	if len(reply) != 3+2*len(claims) || reply[1] < 0 || reply[1] >= int64(len(claims)) {
		return quota.Ruling{}, fmt.Errorf("quota: redis: the script replied %v", reply)
	}
	ruling := quota.Ruling{Wait: time.Duration(reply[0]) * time.Microsecond, Held: int(reply[1]), Stamp: quota.Stamp(reply[2])}
	for p := reply[3:]; len(p) > 0; p = p[2:] {
		ruling.Pauses = append(ruling.Pauses, quota.Pause{For: time.Duration(p[0]) * time.Microsecond, Scale: float64(p[1]) / million})
	}
	return ruling, nil
}

// Pause implements quota.Store.
func (r *Store) Pause(ctx context.Context, budget string, p quota.Pause) error {
	err := r.pause.Run(ctx, r.client, []string{r.prefix + "state:" + r.name(budget)}, micros(p.For), int64(p.Scale*million)).Err()
	if err != nil {
		return fmt.Errorf("quota: redis: %w", err)
	}
	return nil
}

// Beat implements quota.Store.
func (r *Store) Beat(ctx context.Context) (int, error) {
	replicas, err := r.beat.Run(ctx, r.client, []string{r.prefix + "replicas", r.version1()}, r.id, micros(replicaMemory), versionMemory.Milliseconds()).Int()
	if err != nil {
		return 0, fmt.Errorf("quota: redis: %w", err)
	}
	return replicas, nil
}

// Close implements quota.Store.
func (r *Store) Close() error { return r.client.Close() }

// name returns the name of a budget in keys.
func (r *Store) name(budget string) string {
	if budget == quota.TokenBudget {
		budget += ":" + r.token
	}
	return budget
}

// version1 returns the key that holds when a replica of version 1 was last seen.
func (r *Store) version1() string { return r.prefix2 + "version1" }

// burst1 returns how many requests of a limit version 1 admitted at once: the largest divisor of the
// limit that is no more than one second's worth, and at least one.
func burst1(requests int, window time.Duration) int {
	if requests == 0 {
		return 0
	}
	second := float64(requests) * float64(time.Second) / float64(window)
	burst := max(1, min(requests, int(second)))
	for requests%burst != 0 {
		burst--
	}
	return burst
}

// micros returns a duration in microseconds, rounded up so that no window gets shorter.
func micros(d time.Duration) int64 {
	return int64((d + time.Microsecond - 1) / time.Microsecond)
}
