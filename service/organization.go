package service

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/transcode"
)

const (
	// organizationKey selects the organization that a call is for. In responses it says which one it was.
	organizationKey = "samsara-org"
	// defaultOrganization is the name of the organization of a server that has one Upstream.
	defaultOrganization = "default"
	// maxNamedOrganizations bounds the names of organizations in an error.
	maxNamedOrganizations = 10
)

// Organizations are the organizations that calls are for. Its methods are called concurrently.
type Organizations interface {
	// Get returns the organization of a name, nil if there is none now.
	Get(name string) *Organization
	// Default returns the name of the one that calls are for which select none; empty: such calls are refused.
	Default() string
	// Names returns the names of all, sorted. Who gets them does not change them.
	Names() []string
}

// OrganizationConfig configures an Organization. Name and Upstream are required.
type OrganizationConfig struct {
	Name string
	// Upstream answers for this organization alone. It must serve until Done is closed.
	Upstream Upstream
	// Endpoints are those of the server that the organization is for.
	Endpoints []*endpoint.Endpoint
	// Drift is as Config.Drift.
	Drift func(method string, findings []transcode.Finding)
	// Told says whether responses name the organization.
	Told bool
}

// Organization is one that calls are for. It is safe for concurrent use.
type Organization struct {
	name       string
	key        string
	told       bool
	upstream   Upstream
	operations operations
	drift      func(method string, findings []transcode.Finding)

	// uses are the calls that run, and one more until End.
	uses atomic.Int64
	done chan struct{}
	once sync.Once
	// ending ends with End.
	ending context.Context //nolint:containedctx // the organization's own, not a call's
	end    context.CancelFunc
}

// NewOrganization returns an organization that serves calls until End. The error joins every operation that its
// upstream does not resolve.
func NewOrganization(c OrganizationConfig) (*Organization, error) {
	made, err := newOperations(c.Upstream, c.Endpoints)
	if err != nil {
		return nil, err
	}
	o := &Organization{
		name: c.Name, key: c.Name + "\n" + strconv.FormatUint(generations.Add(1), 10),
		told: c.Told, upstream: c.Upstream, operations: made, drift: c.Drift, done: make(chan struct{}),
	}
	o.uses.Store(1)
	o.ending, o.end = context.WithCancel(context.Background())
	return o, nil
}

// generations counts the organizations made. Two with the same name have different keys, so that no stream of one
// reads on with the upstream of the other.
var generations atomic.Uint64 //nolint:gochecknoglobals // what it tells apart is made anywhere in the process

// End has the organization serve no further call: calls are refused as if there were no such organization, streams
// end with their cursor, and other calls that run go on. Further calls of End do nothing.
func (o *Organization) End() {
	o.once.Do(func() {
		o.end()
		o.leave()
	})
}

// Done returns a channel that is closed after End when no call uses the organization any more.
func (o *Organization) Done() <-chan struct{} { return o.done }

// enter notes a call that uses the organization, and reports whether it may. leave is to be called if so.
func (o *Organization) enter() bool {
	for {
		n := o.uses.Load()
		if n == 0 || o.ending.Err() != nil {
			return false
		}
		if o.uses.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (o *Organization) leave() {
	if o.uses.Add(-1) == 0 {
		close(o.done)
	}
}

// metadata returns metadata with how many attempts a call took, Samsara's id of the last one, and the organization
// if responses are to name it.
func (o *Organization) metadata(attempts int, requestID string) metadata.MD {
	md := callMetadata(attempts, requestID)
	if o.told {
		md.Set(organizationKey, o.name)
	}
	return md
}

// one is an Organizations with one organization, which is the default.
type one struct{ *Organization }

func (o one) Get(name string) *Organization {
	if name == o.name {
		return o.Organization
	}
	return nil
}

func (o one) Default() string { return o.name }

func (o one) Names() []string { return []string{o.name} }

// errNoOrganization is a fault of the server: the edge gives every call of an operation an organization.
var errNoOrganization = errors.New("the call is for no organization")

// organizationOf returns the organization that the call which ctx belongs to is for.
func organizationOf(ctx context.Context) (*Organization, error) {
	if o := lineOf(ctx).organization; o != nil {
		return o, nil
	}
	return nil, errNoOrganization
}

// chosen returns the name of the organization that a call selects, or the default's. given is whether it selects
// one.
func (e *edge) chosen(ctx context.Context) (name string, given bool) {
	values := metadata.ValueFromIncomingContext(ctx, organizationKey)
	if len(values) == 0 {
		return e.organizations.Default(), false
	}
	return strings.Join(values, ", "), true
}

// enterOrganization selects the organization of a call, before its request is read, and notes that the call uses it.
// The error names those that the caller may use. A caller that may use none is refused as for one that there is.
func (e *edge) enterOrganization(ctx context.Context, line *logLine) error {
	name, given := e.chosen(ctx)
	if name != "" || given {
		if o := e.organizations.Get(name); o != nil && o.enter() {
			line.organization, line.access.organization = o, o.name
			return nil
		}
	}
	line.access.organization = ""
	usable, more := e.usable(line)
	if len(usable) == 0 && line.access.caller != nil {
		if _, err := e.gate.decide(line.access.caller, line.method, ""); err != nil {
			return err
		}
	}
	description := "is required, because no organization is the default"
	if given {
		description = "is " + quote(name)
	}
	if len(usable) > 0 {
		description += ", must be one of " + strings.Join(usable, ", ") + more
	} else {
		description += ", and there is no such organization"
	}
	return newError(apiv1.Reason_REASON_REQUEST_INVALID_ARGUMENT, organizationKey+": "+description, nil,
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: organizationKey, Description: description}}})
}

// usable returns the names of organizations for which the caller may make the call, maxNamedOrganizations at most,
// and what says that there are more.
func (e *edge) usable(line *logLine) (names []string, more string) {
	for _, name := range e.organizations.Names() {
		if c := line.access.caller; c != nil {
			if _, err := e.gate.decide(c, line.method, name); err != nil {
				continue
			}
		}
		if len(names) == maxNamedOrganizations {
			return names, " or another"
		}
		names = append(names, clip(name, 64))
	}
	return names, ""
}

// removed returns the error of a stream that ends because its organization does, or is served in another way.
func removed() error {
	return newError(apiv1.Reason_REASON_GATEWAY_DRAINING, "the organization has changed or was removed: go on from the last cursor",
		nil, &errdetails.RetryInfo{RetryDelay: durationpb.New(drainDelay)})
}

// organizations returns the organizations of a server.
func (c Config) organizations() (Organizations, error) {
	if c.Organizations != nil {
		return c.Organizations, nil
	}
	o, err := NewOrganization(OrganizationConfig{Name: defaultOrganization, Upstream: c.Upstream, Endpoints: c.Endpoints, Drift: c.Drift})
	return one{o}, err
}

// enters reports whether a call of a method is for an organization: all are, except for those of grpc's own services
// and those of no method.
func (e *edge) enters(fullMethod string) bool {
	return !isGRPCs(fullMethod) && fullMethod != unknownName
}

// release notes that a call does not use its organization any more.
func (l *logLine) release() {
	if l.organization != nil {
		l.organization.leave()
	}
}
