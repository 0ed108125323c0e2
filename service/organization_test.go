package service_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/testproto"
	"samsara.internal/gateway/service"
	"samsara.internal/gateway/upstream"
)

// organizations is a service.Organizations that tests change.
type organizations struct {
	standard string

	mu sync.Mutex
	of map[string]*service.Organization
}

func (o *organizations) Get(name string) *service.Organization {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.of[name]
}

func (o *organizations) Default() string { return o.standard }

func (o *organizations) Names() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Sorted(maps.Keys(o.of))
}

// remove takes an organization away.
func (o *organizations) remove(name string) *service.Organization {
	o.mu.Lock()
	defer o.mu.Unlock()
	gone := o.of[name]
	delete(o.of, name)
	gone.End()
	return gone
}

// organize returns organizations, the first of which is the default, with their upstreams.
func organize(t *testing.T, served []*endpoint.Endpoint, standard string, ups map[string]service.Upstream) *organizations {
	t.Helper()
	o := &organizations{standard: standard, of: make(map[string]*service.Organization)}
	for name, up := range ups {
		made, err := service.NewOrganization(service.OrganizationConfig{Name: name, Upstream: up, Endpoints: served, Told: true})
		if err != nil {
			t.Fatal(err)
		}
		o.of[name] = made
	}
	return o
}

// selecting returns a context whose calls are for an organization.
func selecting(ctx context.Context, name string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "samsara-org", name)
}

func TestOrganization_selected(t *testing.T) {
	t.Parallel()
	served := endpoints(t)
	north, south := answers(`{"data":{"name":"north"}}`), answers(`{"data":{"name":"south"}}`)
	g := start(t, service.Config{
		Endpoints: served, Passthrough: true,
		Organizations: organize(t, served, "north", map[string]service.Upstream{"north": north, "south": south}),
	})
	for _, test := range []struct{ selected, want string }{{"", "north"}, {"north", "north"}, {"south", "south"}} {
		ctx := t.Context()
		if test.selected != "" {
			ctx = selecting(ctx, test.selected)
		}
		r := g.call(ctx, t, getVehicle, `{"id":"1"}`)
		if want := `{"data":{"name":"` + test.want + `"}}`; r.json != want {
			t.Errorf("%q: the answer is %s %v, want %s", test.selected, r.json, r.status, want)
		}
		if got := strings.Join(r.header["samsara-org"], ","); got != test.want {
			t.Errorf("%q: the header has %q, want %q", test.selected, got, test.want)
		}
		r = g.pass(ctx, t, `{"method":"GET","path":"/fleet/vehicles/1"}`)
		if !strings.Contains(r.json, test.want) {
			t.Errorf("%q: passthrough answers %s %v, want that of %s", test.selected, r.json, r.status, test.want)
		}
	}
	for name, up := range map[string]*fakeUpstream{"north": north, "south": south} {
		want := map[string]int{"north": 4, "south": 2}[name]
		if len(up.asked()) != want {
			t.Errorf("%s was asked %d times, want %d", name, len(up.asked()), want)
		}
		for _, asked := range up.asked() {
			if asked.From.Tenant != name {
				t.Errorf("%s was asked for %q", name, asked.From.Tenant)
			}
		}
	}
	if log := g.stopAndReadLog(t); strings.Count(log, "organization=south") != 2 {
		t.Errorf("the log names south %d times, want 2:\n%s", strings.Count(log, "organization=south"), log)
	}
}

func TestOrganization_unknown(t *testing.T) {
	t.Parallel()
	served := endpoints(t)
	many := make(map[string]service.Upstream)
	for _, name := range strings.Fields("a b c d e f g h i j k") {
		many[name] = answers(`{}`)
	}
	few := map[string]service.Upstream{"north": answers(`{}`), "south": answers(`{}`)}
	for name, test := range map[string]struct {
		of       map[string]service.Upstream
		selected []string
		want     string
	}{
		"none, and no default":  {few, nil, "samsara-org: is required, because no organization is the default, must be one of north, south"},
		"unknown":               {few, []string{"east"}, `samsara-org: is "east", must be one of north, south`},
		"empty":                 {few, []string{""}, `samsara-org: is "", must be one of north, south`},
		"two":                   {few, []string{"north", "south"}, `samsara-org: is "north, south", must be one of north, south`},
		"unknown among many":    {many, []string{"x"}, `samsara-org: is "x", must be one of a, b, c, d, e, f, g, h, i, j or another`},
		"unknown where is none": {map[string]service.Upstream{}, []string{"x"}, `samsara-org: is "x", and there is no such organization`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := start(t, service.Config{Endpoints: served, Passthrough: true, Organizations: organize(t, served, "", test.of)})
			ctx := metadata.NewOutgoingContext(t.Context(), metadata.MD{"samsara-org": test.selected})
			for _, r := range []reply{
				g.call(ctx, t, getVehicle, `{"id":"1"}`), g.call(ctx, t, getVehicle, `{}`),
				g.pass(ctx, t, `{"method":"GET","path":"/fleet/vehicles/1"}`),
			} {
				violations := r.wantError(t, codes.InvalidArgument, "REQUEST_INVALID_ARGUMENT")
				if got := strings.Join(violations, "; "); got != test.want {
					t.Errorf("violations are %s, want %s", got, test.want)
				}
			}
			for of, up := range test.of {
				if up, ok := up.(*fakeUpstream); ok && len(up.asked()) > 0 {
					t.Errorf("%s was asked", of)
				}
			}
		})
	}
}

func TestOrganization_removed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		served := endpoints(t)
		answer := make(chan struct{})
		up := upstreamFunc(func(ctx context.Context, _ *request) (*upstream.Response, error) {
			select {
			case <-answer:
				return &upstream.Response{Status: 200, Attempts: 1}, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		})
		orgs := organize(t, served, "north", map[string]service.Upstream{"north": answers(`{}`), "south": up})
		g := start(t, service.Config{Endpoints: served, Organizations: orgs})
		replies := make(chan reply, 1)
		go func() { replies <- g.call(selecting(t.Context(), "south"), t, getVehicle, `{"id":"1"}`) }()
		synctest.Wait()
		gone := orgs.remove("south")
		g.call(selecting(t.Context(), "south"), t, getVehicle, `{"id":"1"}`).wantError(t, codes.InvalidArgument, "REQUEST_INVALID_ARGUMENT")
		synctest.Wait()
		select {
		case <-gone.Done():
			t.Error("the organization is done although a call runs")
		default:
		}
		close(answer)
		if r := <-replies; r.status.Code() != codes.OK {
			t.Errorf("the call that ran ends with %v", r.status)
		}
		<-gone.Done()
	})
}

// TestOrganization_feedsApart follows the same feed of two organizations.
func TestOrganization_feedsApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		served := load(t, testproto.Readings)
		north, south := newFakeFeed(t, 2, 2), newFakeFeed(t, 4, 2)
		orgs := organize(t, served, "north", map[string]service.Upstream{"north": north, "south": south})
		g := start(t, service.Config{Endpoints: served, Organizations: orgs})
		a := g.open(t.Context(), t, followReadings, `{}`)
		b := g.open(selecting(t.Context(), "south"), t, followReadings, `{}`)
		again := g.open(selecting(t.Context(), "north"), t, followReadings, `{}`)
		for name, r := range map[string]*reader{"north": a, "south": b, "north again": again} {
			if m := r.must(); m.IDs != "1 2" {
				t.Errorf("%s: got %+v, want the first page", name, m)
			}
		}
		if m := b.must(); m.IDs != "3 4" || m.Cursor != "4" {
			t.Errorf("south: got %+v, want the second page", m)
		}
		if got := len(north.requests()); got != 1 {
			t.Errorf("north was asked %d times by two followers of one feed, want 1", got)
		}
		orgs.remove("south")
		more, end := b.rest()
		if len(more) > 0 || end.Code() != codes.Unavailable || end.reason() != "GATEWAY_DRAINING" || end.cursor() != "4" {
			t.Errorf("after the removal: got %+v, %v with the cursor %q, want GATEWAY_DRAINING at 4", more, end.Status, end.cursor())
		}
		north.grow(2)
		if m := a.must(); m.IDs != "3 4" {
			t.Errorf("north: got %+v, want what is new", m)
		}
	})
}
