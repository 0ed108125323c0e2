package service

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// patrolInterval is the time between two looks at the open streams.
const patrolInterval = 500 * time.Millisecond

// streams are the open streams. Each ends with the stop of the server, and when its caller's proof or
// permission ends. It is safe for concurrent use.
type streams struct {
	gate *gate
	// age is how old a connection becomes; 0: there is no bound.
	age time.Duration
	// stopping ends when the server begins to stop.
	stopping context.Context //nolint:containedctx // the server's own, not a call's

	mu   sync.Mutex
	open map[*openStream]struct{}
	// patrol looks at the open streams while there are some.
	patrol *time.Timer
}

// openStream is a stream that runs. It does not change.
type openStream struct {
	method        string
	from          *connection
	authorization []string
	access        access
	// revision is the authenticator's when the stream began or was last looked at. Only patrol uses it.
	revision uint64
	ending   context.Context //nolint:containedctx // the stream's own
	end      context.CancelCauseFunc
}

// denied returns the error of a stream whose proof or permission has ended, nil if it has not, or if the server stops.
func (o *openStream) denied() error {
	if cause := context.Cause(o.ending); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// why returns the error of a stream that had to end.
func (o *openStream) why() error {
	if err := o.denied(); err != nil {
		return err
	}
	return draining()
}

// enter notes a stream that begins. Its ending ends when the stream has to end: with the error that its caller
// sees, or because the server stops. leave is to be called when it has ended.
func (s *streams) enter(o *openStream) (leave func()) {
	o.ending, o.end = context.WithCancelCause(s.stopping)
	if s.gate.isOpen() && s.age == 0 {
		return func() { o.end(nil) }
	}
	o.revision = s.gate.revision()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[o] = struct{}{}
	if s.patrol == nil {
		s.patrol = time.AfterFunc(patrolInterval, s.look)
	}
	return func() {
		s.mu.Lock()
		delete(s.open, o)
		s.mu.Unlock()
		o.end(nil)
	}
}

// look ends the streams whose callers may no longer have them.
func (s *streams) look() {
	s.mu.Lock()
	all := make([]*openStream, 0, len(s.open))
	for o := range s.open {
		all = append(all, o)
	}
	s.mu.Unlock()
	now, revision := time.Now(), s.gate.revision()
	for _, o := range all {
		err := s.gate.reconsider(o, revision, now)
		if err == nil && s.age > 0 && now.Sub(o.from.begun) > s.age+time.Duration(o.from.share*float64(s.age)) {
			err = tooOld()
		}
		if err != nil {
			o.end(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.patrol = nil; len(s.open) > 0 && s.stopping.Err() == nil {
		s.patrol = time.AfterFunc(patrolInterval, s.look)
	}
}

// tooOld returns the error of a stream over a connection that is as old as it may become.
func tooOld() error {
	return newError(apiv1.Reason_REASON_GATEWAY_DRAINING, "the connection is as old as it may become: go on over another one, from the last cursor",
		nil, &errdetails.RetryInfo{RetryDelay: durationpb.New(0)})
}

// reconsider returns the error of a stream whose proof or permission has ended since it was last looked at.
func (g *gate) reconsider(o *openStream, revision uint64, now time.Time) error {
	if o.access.caller == nil {
		return nil // Nobody has to prove anything.
	}
	if expires := o.access.caller.who.Expires; !expires.IsZero() && !now.Before(expires) {
		return newError(apiv1.Reason_REASON_REQUEST_PROOF_EXPIRED, "what the caller proved itself by has expired: go on with a new one, from the last cursor", nil)
	}
	valid := g.policy()
	if o.revision == revision && o.access.caller.policy == valid {
		return nil
	}
	next := *o.access.caller
	if o.revision != revision {
		o.revision = revision
		who, err := g.identify(o.ending, o.from, o.authorization)
		switch status.Code(err) {
		case codes.OK:
			next.who = who
		case codes.Unauthenticated:
			return err
		default: // It is not known whether the proof is still good.
			return nil
		}
	}
	next.policy, next.grant = valid, g.grant(valid, next.who.Principal)
	decided, err := g.decide(&next, o.method, o.access.organization)
	if err == nil {
		o.access = decided
	}
	return err
}
