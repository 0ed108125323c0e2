package quota

import (
	"context"
	"crypto/rand"
	_ "embed" // the scripts
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

//go:embed take.lua
var takeScript string

//go:embed pause.lua
var pauseScript string

//go:embed beat.lua
var beatScript string

// replicaMemory is for how long a replica counts after its last heartbeat.
const replicaMemory = 3 * beatInterval

// million is what scales are counted in, on the wire.
const million = 1_000_000

// RedisConfig configures a Redis. All fields are required.
type RedisConfig struct {
	// URL is redis://, rediss:// or unix://, with credentials if need be. It is in no error.
	URL string
	// Organization and Token name the owners of the budgets: equal where they are shared.
	// Token is not the token itself, because the names are seen in Redis.
	Organization, Token string
}

// Redis is a Store in Redis 5 or later, or Valkey. Each decision is one script by the server's
// clock, so that processes need not agree on the time. All keys expire, and those of an
// organization have one hash tag, so that they may lie behind a cluster's proxy; the client
// itself talks to one server and follows no redirections.
type Redis struct {
	client            *redis.Client
	prefix, token, id string
	take, pause, beat *redis.Script
}

// NewRedis returns a Redis. It does not connect.
func NewRedis(cfg RedisConfig) (*Redis, error) {
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
	// It has one logger for the process and writes there what it also returns.
	redis.SetLogger(&logging.VoidLogger{})
	options.ContextTimeoutEnabled = true
	options.MaxRetries = -1
	options.DialerRetries = 1
	options.DialTimeout = time.Second
	// Each would cost a new connection another round trip within the store's timeout.
	options.DisableIdentity = true
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return &Redis{
		client: redis.NewClient(options),
		prefix: "samsara-quota:{" + cfg.Organization + "}:",
		token:  cfg.Token,
		id:     rand.Text(),
		take:   redis.NewScript(takeScript),
		pause:  redis.NewScript(pauseScript),
		beat:   redis.NewScript(beatScript),
	}, nil
}

// Take implements Store.
func (r *Redis) Take(ctx context.Context, claims []Claim, instead Stamp) (Ruling, error) {
	keys, args := make([]string, 0, 2*len(claims)), make([]any, 0, 1+3*len(claims))
	args = append(args, int64(instead))
	for _, c := range claims {
		keys = append(keys, r.key("log", c.Budget), r.key("state", c.Budget))
		args = append(args, c.Requests, micros(c.Window), micros(c.Pace))
	}
	reply, err := r.take.Run(ctx, r.client, keys, args...).Int64Slice()
	if err != nil {
		return Ruling{}, fmt.Errorf("quota: redis: %w", err)
	}
	if len(reply) != 3+2*len(claims) || reply[1] < 0 || reply[1] >= int64(len(claims)) {
		return Ruling{}, fmt.Errorf("quota: redis: the script replied %v", reply)
	}
	ruling := Ruling{Wait: time.Duration(reply[0]) * time.Microsecond, Held: int(reply[1]), Stamp: Stamp(reply[2])}
	for p := reply[3:]; len(p) > 0; p = p[2:] {
		ruling.Pauses = append(ruling.Pauses, Pause{For: time.Duration(p[0]) * time.Microsecond, Scale: float64(p[1]) / million})
	}
	return ruling, nil
}

// Pause implements Store.
func (r *Redis) Pause(ctx context.Context, budget string, p Pause) error {
	err := r.pause.Run(ctx, r.client, []string{r.key("state", budget)}, micros(p.For), int64(p.Scale*million)).Err()
	if err != nil {
		return fmt.Errorf("quota: redis: %w", err)
	}
	return nil
}

// Beat implements Store.
func (r *Redis) Beat(ctx context.Context) (int, error) {
	replicas, err := r.beat.Run(ctx, r.client, []string{r.prefix + "replicas"}, r.id, micros(replicaMemory)).Int()
	if err != nil {
		return 0, fmt.Errorf("quota: redis: %w", err)
	}
	return replicas, nil
}

// Close implements Store.
func (r *Redis) Close() error { return r.client.Close() }

func (r *Redis) key(kind, budget string) string {
	if budget == TokenBudget {
		budget += ":" + r.token
	}
	return r.prefix + kind + ":" + budget
}

// micros rounds up, so that no window gets shorter.
func micros(d time.Duration) int64 {
	return int64((d + time.Microsecond - 1) / time.Microsecond)
}
