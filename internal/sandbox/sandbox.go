package sandbox

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"samsara.internal/gateway/internal/endpoint"
)

// How large a fleet is.
const (
	DefaultFleet = 12
	MaxFleet     = 100_000
)

// Tick is the interval between the reports of an asset in a feed or stream. Each asset of the fleet reports
// once at each whole multiple of it since the Unix epoch.
const Tick = 5 * time.Second

// Config says what a sandbox serves.
type Config struct {
	// Endpoints are the operations to answer. If two have the same method and path, the one that
	// is not deprecated is served.
	Endpoints []*endpoint.Endpoint
	// Token is the API token that requests must carry; it must not be empty.
	Token string
	// Seed selects the fleet.
	Seed uint64
	// Fleet is how many records each collection begins with, and so how many assets report in
	// feeds and streams; at most MaxFleet, 0 for DefaultFleet.
	Fleet int
	// PageSize is how many records a page has if the client does not say, at most MaxPageSize.
	// 0 leaves it to the sandbox: 10, or fewer if records are large.
	PageSize int
	// Now is the clock; nil for time.Now. It must be safe for concurrent use.
	Now func() time.Time
	// RateLimits answers 429 above Samsara's rate limits.
	RateLimits bool
	// Faults apply to all requests with the right token. The first that is due wins. Each must
	// satisfy the rules of ParseFault.
	Faults []Fault
	// Logger receives a debug record for each request, never with the token; nil for none.
	Logger *slog.Logger
}

// Sandbox answers as Samsara does. It is safe for concurrent use.
type Sandbox struct {
	token    [sha256.Size]byte
	fleet    *fleet
	pageSize int
	now      func() time.Time
	log      *slog.Logger
	routes   *router
	faults   *faults
	limits   *limits  // nil: none
	noted    sync.Map // the array parameters that note has logged
	served   atomic.Uint64

	mu        sync.RWMutex // over all records, so that a reply shows one moment
	kinds     kinds
	referable kinds           // and the kinds whose records are only listed
	held      map[string]held // lists of things with ids of their own, by the noun of a thing
}

// New returns a sandbox. The error joins everything that is wrong with the configuration.
func New(c Config) (*Sandbox, error) {
	s := &Sandbox{
		token:    sha256.Sum256([]byte(c.Token)),
		fleet:    &fleet{seed: c.Seed, size: uint64(cmp.Or(max(c.Fleet, 0), DefaultFleet))},
		pageSize: c.PageSize,
		now:      c.Now,
		log:      c.Logger,
		routes:   &router{},
		faults:   newFaults(c.Seed, c.Faults),
	}
	if s.now == nil {
		s.now = time.Now
	}
	if c.RateLimits {
		s.limits = newLimits(s.now)
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	var errs []error
	if c.Token == "" {
		errs = append(errs, errors.New("token: must not be empty"))
	}
	if c.Fleet < 0 || c.Fleet > MaxFleet {
		errs = append(errs, fmt.Errorf("fleet: must be from 0 to %d, is %d", MaxFleet, c.Fleet))
	}
	if c.PageSize < 0 || c.PageSize > MaxPageSize {
		errs = append(errs, fmt.Errorf("page size: must be from 0 to %d, is %d", MaxPageSize, c.PageSize))
	}
	for i, f := range c.Faults {
		if again, err := ParseFault(f.String()); err != nil {
			errs = append(errs, fmt.Errorf("fault %d: %w", i, err))
		} else if again != f {
			errs = append(errs, fmt.Errorf("fault %d: is %q in its text form, which stands for another fault", i, f))
		}
	}
	known := schemas{}
	var ops []*operation
	for _, e := range c.Endpoints {
		op, err := newOperation(e, known)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		ops = append(ops, op)
	}
	// Deprecated ones last, so that add refuses them if there is another one.
	slices.SortStableFunc(ops, func(a, b *operation) int { return rank(a.deprecated) - rank(b.deprecated) })
	ops = slices.DeleteFunc(ops, func(op *operation) bool {
		other := s.routes.add(op)
		if other != nil && !op.deprecated {
			errs = append(errs, fmt.Errorf("%s %s: served by both %s and %s", op.verb, op.GetPath(), other.GetId(), op.GetId()))
		}
		return other != nil
	})
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for _, op := range ops {
		if op.envelope.record != nil {
			op.envelope.record.measure()
		}
	}
	s.kinds = resolve(ops, s.fleet.size)
	s.referable, s.held = s.kinds.referable(ops), s.kinds.held()
	return s, nil
}

func rank(deprecated bool) int {
	if deprecated {
		return 1
	}
	return 0
}

// ServeHTTP implements http.Handler.
func (s *Sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begun, id := time.Now(), s.requestID()
	out, fault := s.answer(r, id)
	if fault.Reset {
		s.log.LogAttrs(r.Context(), slog.LevelDebug, "connection reset", slog.String("request", id))
		reset(w)
		return
	}
	h := w.Header()
	h.Set("Request-Id", id)
	if out.retryAfter > 0 {
		h.Set("Retry-After", decimalSeconds(out.retryAfter))
	}
	if len(out.allow) > 0 {
		h.Set("Allow", strings.Join(out.allow, ", "))
	}
	body := out.body
	if len(body) > 0 {
		h.Set("Content-Type", out.contentType)
		h.Set("Content-Length", strconv.Itoa(len(body)))
		if fault.Truncate {
			body = body[:len(body)/2] // net/http then closes the connection
		}
	}
	w.WriteHeader(out.status)
	if _, err := w.Write(body); err != nil && len(body) > 0 {
		s.log.LogAttrs(r.Context(), slog.LevelDebug, "client gone", slog.String("request", id))
	}
	s.log.LogAttrs(r.Context(), slog.LevelDebug, "answered", slog.String("request", id), slog.String("method", r.Method),
		slog.String("path", r.URL.EscapedPath()), slog.Int("status", out.status), slog.String("fault", fault.String()),
		slog.Duration("duration", time.Since(begun)))
}

// requestID returns the next request id; ids differ between seeds and repeat between runs.
func (s *Sandbox) requestID() string {
	n := s.served.Add(1)
	return fmt.Sprintf("%08x-%08x", uint32(finalise(s.fleet.seed^0xa5)), n)
}

// answer returns the reply to a request, and the fault to deliver it with.
func (s *Sandbox) answer(r *http.Request, id string) (reply, Fault) {
	path := r.URL.EscapedPath()
	if !s.authorized(r) {
		// Samsara leaves the request id out of this one.
		return refused(path, "", refuse(http.StatusUnauthorized, "Invalid token.")), Fault{}
	}
	if s.limits != nil {
		op, _, _ := s.routes.find(r.Method, path)
		if wait := s.limits.wait(op); wait > 0 {
			return tooMany(path, id, wait), Fault{}
		}
	}
	fault, err := s.faults.due(r)
	if err != nil {
		return refused(path, id, refuse(http.StatusBadRequest, "%s", err)), Fault{}
	}
	if fault.Latency > 0 && !wait(r.Context(), fault.Latency) {
		return reply{}, Fault{Reset: true} // the client has gone
	}
	if fault.Reset {
		return reply{}, fault
	}
	out := reply{}
	if fault.Status != 0 {
		out = refused(path, id, refuse(fault.Status, "%s", cmp.Or(http.StatusText(fault.Status), "Fault")))
	} else {
		out = s.operate(r, id, fault)
	}
	out.retryAfter = fault.RetryAfter
	return out, fault
}

// authorized compares hashes, so that the time it takes reveals nothing of the token.
func (s *Sandbox) authorized(r *http.Request) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	sum := sha256.Sum256([]byte(token))
	return ok && subtle.ConstantTimeCompare(sum[:], s.token[:]) == 1
}
