package service

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/authn"
	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/policy"
	"samsara.internal/gateway/upstream"
)

const (
	// authorizationKey has the bearer token of a call.
	authorizationKey = "authorization"
	// rememberedFor is how long a connection remembers what it last learned of a caller. Package authn keeps a
	// verified token for as long, so that a proof is checked again after a minute at the latest.
	rememberedFor = 30 * time.Second
	// maxGrants bounds the identities whose decisions are kept.
	maxGrants = 10_000
)

// gate says who makes a call and whether it may be made, before its request is read. It is safe for concurrent
// use.
type gate struct {
	// authenticator is nil if nothing can be proved, and policy if there is none. Without both the gate is open.
	authenticator *authn.Authenticator
	policy        func() *policy.Policy
	meter         *policy.Meter
	// pools are what callers hold memory of.
	pools connections
	// granted are the decisions of one policy.
	granted atomic.Pointer[grants]
}

func newGate(c Config) *gate {
	g := &gate{authenticator: c.Authenticator, policy: c.Policy, meter: policy.NewMeter(c.SharedRates), pools: connections{answers: c.Answers, requests: c.Requests}}
	if g.policy == nil {
		g.policy = func() *policy.Policy { return nil }
	}
	return g
}

// caller is who calls over a connection. It is immutable. Who and grant are zero if nobody is asked to prove
// anything.
type caller struct {
	*connection
	memory
	who authn.Identity
	// grant is what the policy decides for it; nil: there is no policy.
	policy *policy.Policy
	grant  *policy.Grant
	// authorization is what it has proved itself by, beside the connection. revision is the authenticator's, and
	// until is when the proof is to be checked again.
	authorization string
	revision      uint64
	until         time.Time
}

// isProved reports whether the caller has proved who it is.
func (c *caller) isProved() bool { return c.who.Principal.Means != identity.Anonymous }

// access is who makes a call, for which organization, and what is decided about that. The zero value is of a
// call about which nobody has decided.
type access struct {
	caller       *caller
	organization string
	decision     policy.Decision
}

// grants are the decisions of a policy for the identities that have called. It is safe for concurrent use.
type grants struct {
	policy *policy.Policy

	mu sync.Mutex
	of map[identity.Principal]*policy.Grant
}

// get returns the decisions for an identity. All are forgotten when there are too many.
func (g *grants) get(who identity.Principal) *policy.Grant {
	g.mu.Lock()
	defer g.mu.Unlock()
	found := g.of[who]
	if found == nil {
		if len(g.of) >= maxGrants {
			clear(g.of)
		}
		found = g.policy.Grant(who)
		g.of[who] = found
	}
	return found
}

// isOpen reports whether everybody may do everything.
func (g *gate) isOpen() bool { return g.authenticator == nil && g.policy() == nil }

// isAlwaysOpen reports whether a method may be called by everybody, whatever the policy says.
func isAlwaysOpen(fullMethod string) bool { return strings.HasPrefix(fullMethod, "/grpc.health.") }

// learn returns who calls over a connection, as it remembers if that is fresh. The error is a status.
func (g *gate) learn(ctx context.Context, from *connection, values []string, now time.Time) (*caller, error) {
	token := strings.Join(values, ", ")
	valid, revision := g.policy(), g.revision()
	latest := from.latest.Load()
	proved := latest != nil && latest.authorization == token && latest.revision == revision && now.Before(latest.until)
	if proved && latest.policy == valid {
		return latest, nil
	}
	learned := caller{connection: from, authorization: token, revision: revision, until: now.Add(rememberedFor)}
	if proved {
		learned = *latest
	} else {
		var err error
		if learned.who, err = g.identify(ctx, from, values); err != nil {
			return nil, err
		}
		if expires := learned.who.Expires; !expires.IsZero() && expires.Before(learned.until) {
			learned.until = expires
		}
		learned.memory = from.memoryOf(learned.who.Principal, g.pools)
	}
	learned.policy, learned.grant = valid, g.grant(valid, learned.who.Principal)
	from.latest.Store(&learned)
	return &learned, nil
}

func (g *gate) revision() uint64 {
	if g.authenticator == nil {
		return 0
	}
	return g.authenticator.Revision()
}

// identify returns who calls. The error is a status.
func (g *gate) identify(ctx context.Context, from *connection, values []string) (authn.Identity, error) {
	if g.authenticator == nil {
		return authn.Identity{}, nil
	}
	who, err := g.authenticator.Authenticate(ctx, from.peer, values)
	var refused *authn.Error
	if errors.As(err, &refused) {
		return authn.Identity{}, newError(refused.Reason, refused.Text, nil)
	}
	return who, err
}

// grant returns what a policy decides for an identity; nil: there is no policy.
func (g *gate) grant(valid *policy.Policy, who identity.Principal) *policy.Grant {
	if valid == nil {
		return nil
	}
	granted := g.granted.Load()
	if granted == nil || granted.policy != valid {
		granted = &grants{policy: valid, of: make(map[identity.Principal]*policy.Grant)}
		g.granted.Store(granted)
	}
	return granted.get(who)
}

// decide returns what is decided about a call of a caller. A method that is not served is left to its handler.
func (g *gate) decide(c *caller, fullMethod, organization string) (access, error) {
	a := access{caller: c, organization: organization}
	anonymous := !c.isProved()
	if c.grant == nil {
		if anonymous {
			return a, unproved()
		}
		return a, nil
	}
	m := c.policy.API().Method(fullMethod)
	if m == nil {
		if anonymous && g.authenticator != nil {
			return a, unproved()
		}
		return a, nil
	}
	a.decision = c.grant.Decide(m, organization)
	if a.decision.Allowed {
		return a, nil
	}
	if anonymous && g.authenticator != nil {
		return a, unproved()
	}
	return a, a.denied(fullMethod[1:])
}

// reaches returns an error if a passthrough request reaches an operation that its caller may not use.
func (a *access) reaches(httpMethod, path string) error {
	if a.caller == nil || a.caller.grant == nil {
		return nil
	}
	decision, name := a.caller.grant.Passthrough(httpMethod, path, a.organization)
	if decision.Allowed {
		return nil
	}
	reached := *a
	reached.decision = decision
	return reached.denied(name)
}

// unproved returns the error of a call that proves nothing, although something has to be proved.
func unproved() error {
	return newError(apiv1.Reason_REASON_REQUEST_PROOF_MISSING, "the call proves nothing of its caller, who must: by a client certificate or a bearer token", nil)
}

// denied returns the error of a call that the policy does not allow, for its organization, or for any if it selects none
// that there is.
func (a *access) denied(method string) error {
	who := describe(a.caller.who.Principal)
	facts := upstream.Facts{
		apiv1.ErrorInfoKey_ERROR_INFO_KEY_CALLER: who,
	}
	text := who + " may not call " + method
	if a.organization != "" {
		facts[apiv1.ErrorInfoKey_ERROR_INFO_KEY_ORGANIZATION] = a.organization
		text += " for organization " + quote(a.organization)
	}
	text += ": "
	if a.decision.Rule == "" {
		text += "no rule allows it"
	} else {
		text += "rule " + quote(a.decision.Rule) + " denies it"
		facts[apiv1.ErrorInfoKey_ERROR_INFO_KEY_RULE] = a.decision.Rule
	}
	return newError(apiv1.Reason_REASON_REQUEST_DENIED, text, facts)
}

// describe returns an identity as policies write it, such as token:billing.
func describe(who identity.Principal) string {
	if who.Means == identity.Anonymous {
		return who.Means.String()
	}
	return who.Means.String() + ":" + clip(who.Name, 256)
}

// meet counts a call against the limits of its identity. leave is to be called when a stream has ended.
func (g *gate) meet(ctx context.Context, a *access, stream bool) (leave func(), err error) {
	limits := a.decision.Limits
	if limits == nil {
		return func() {}, nil
	}
	if wait, ok := g.meter.Take(ctx, a.caller.who.Principal, limits); !ok {
		text := "the policy's limit " + quote(limits.Name) + " lets no more calls through now"
		return nil, newError(apiv1.Reason_REASON_REQUEST_RATE, text, nil, &errdetails.RetryInfo{RetryDelay: durationpb.New(wait)})
	}
	if !stream {
		return func() {}, nil
	}
	if !g.meter.Enter(a.caller.who.Principal, limits) {
		text := "as many streams are open as the policy's limit " + quote(limits.Name) + " allows"
		return nil, newError(apiv1.Reason_REASON_REQUEST_STREAMS, text, nil)
	}
	return func() { g.meter.Leave(a.caller.who.Principal, limits) }, nil
}

// arrivalNote is what arrived has noted of a call. A call of which there is nothing to note has none.
type arrivalNote struct {
	authorization []string
	// excess is how many bytes the metadata has, if it has too many.
	excess int
}

type arrivalContextKey struct{}

// arrived is a tap.ServerInHandle. It moves what a call has for its proof out of its metadata, so that nothing later
// can log it or pass it on, and notes if there is too much metadata.
func arrived(ctx context.Context, info *tap.Info) (context.Context, error) {
	var note arrivalNote
	size := 0
	for name, values := range info.Header {
		for _, value := range values {
			size += len(name) + len(value) + fieldBytes
		}
	}
	if size > maxMetadataBytes {
		note.excess = size
	}
	if note.authorization = info.Header[authorizationKey]; note.authorization != nil {
		delete(info.Header, authorizationKey)
	}
	if note.authorization == nil && note.excess == 0 {
		return ctx, nil
	}
	return context.WithValue(ctx, arrivalContextKey{}, note), nil
}

// authorization returns what a call has for its proof.
func authorization(ctx context.Context) []string {
	note, _ := ctx.Value(arrivalContextKey{}).(arrivalNote)
	return note.authorization
}

// checkMetadata returns the error of a call with too much metadata.
func checkMetadata(ctx context.Context) error {
	note, _ := ctx.Value(arrivalContextKey{}).(arrivalNote)
	if note.excess == 0 {
		return nil
	}
	return newError(apiv1.Reason_REASON_REQUEST_INVALID_ARGUMENT, fmt.Sprintf(
		"metadata: has %d bytes, with %d for each entry, must have at most %d", note.excess, fieldBytes, maxMetadataBytes), nil,
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{
			Field: "metadata", Description: fmt.Sprintf("has %d bytes, must have at most %d", note.excess, maxMetadataBytes),
		}}})
}
