package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	locationandspeedv1 "samsara.internal/gateway/gen/location_and_speed/v1"
	tagsv1 "samsara.internal/gateway/gen/tags/v1"
	"samsara.internal/gateway/internal/config"
)

// fleet is the upstream of one organization. Everything in its answers has the organization's name.
type fleet struct {
	name, url, token string
	tokenFile        string
	// status is what it answers; 0: 200. requests counts those with its token, foreign those with another one.
	status            atomic.Int64
	requests, foreign atomic.Int64
	// held is locked while no answer about the id "held" may be sent.
	held sync.RWMutex
}

func startFleet(t *testing.T, name string) *fleet {
	t.Helper()
	f := &fleet{name: name, token: "token-of-" + name}
	f.tokenFile = tokenFile(t, f.token)
	f.url = "http://" + serveHTTP(t, f)
	return f
}

func (f *fleet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+f.token {
		f.foreign.Add(1)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	f.requests.Add(1)
	if strings.HasSuffix(r.URL.Path, "/held") {
		f.held.RLock()
		defer f.held.RUnlock()
	}
	w.Header().Set("Content-Type", "application/json")
	status := int(f.status.Load())
	if status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "3")
	}
	if status != 0 {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"message":"`+f.name+`"}`)
		return
	}
	if strings.HasSuffix(r.URL.Path, "/stream") {
		n, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Query().Get("after"), f.name+"-"))
		fmt.Fprintf(w, `{"data":[{"happenedAtTime":"2026-01-01T00:00:00Z","asset":{"id":"%s"}}],"pagination":{"endCursor":"%s-%d","hasNextPage":%t}}`, f.name, f.name, n+1, n < 3)
		return
	}
	fmt.Fprintf(w, `{"data":{"id":"1","name":"%s"}}`, f.name)
}

// entry returns the fleet's entry in a file of organizations, with further members.
func (f *fleet) entry(members ...string) string {
	return "  - {" + strings.Join(append([]string{"name: " + f.name, "token-file: " + f.tokenFile, "base-url: " + f.url}, members...), ", ") + "}\n"
}

// startOrganizations runs a gateway for the organizations of a file, whose path it returns.
func startOrganizations(t *testing.T, entries string, args ...string) (p *process, at logLine, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "organizations.yaml")
	replace(t, file, "organizations:\n"+entries)
	p = start(t, append([]string{"--organizations-file=" + file, "--log-format=json", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"}, args...)...)
	return p, p.await(t, "serving"), file
}

// forOrganization returns a context whose calls are for an organization.
func forOrganization(ctx context.Context, name string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "samsara-org", name)
}

// nameAt gets a tag of an organization. It returns the tag's name, and what says where the answer comes from.
func nameAt(t *testing.T, conn *grpc.ClientConn, organization, id string) (name, cached string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(forOrganization(t.Context(), organization), patience)
	defer cancel()
	var header metadata.MD
	resp, err := tagsv1.NewTagsServiceClient(conn).GetTag(ctx, &tagsv1.GetTagRequest{Id: &id}, grpc.Header(&header))
	if err == nil && strings.Join(header.Get("samsara-org"), ",") != organization {
		t.Errorf("%s: the header names %q", organization, header.Get("samsara-org"))
	}
	return resp.GetData().GetName(), strings.Join(header.Get("samsara-cache"), ","), err
}

// TestOrganizations_nothingLeaks has organizations with the same ids and tries each pair of them.
func TestOrganizations_nothingLeaks(t *testing.T) {
	t.Parallel()
	var fleets []*fleet
	var entries strings.Builder
	for _, name := range []string{"east", "north", "south"} {
		f := startFleet(t, name)
		fleets = append(fleets, f)
		entries.WriteString(f.entry("token-limit: 500/s", "organization-limit: 500/s"))
	}
	_, at, _ := startOrganizations(t, entries.String(), "--cache=samsara_gateway.tags.v1.*=1h", "--retry-max-attempts=1",
		"--quota-limits=samsara_gateway.tags.v1.*=500/s")
	conn := connect(t, at.GRPC, insecure.NewCredentials())
	get := func(f *fleet, id string) (string, string) {
		t.Helper()
		name, cached, err := nameAt(t, conn, f.name, id)
		if err != nil || name != f.name {
			t.Errorf("%s: got %q, %v", f.name, name, err)
		}
		return name, cached
	}

	// The same read of all at the same time is shared within each organization, and cached for it alone.
	const calls = 20
	for _, f := range fleets {
		f.held.Lock()
	}
	var reading sync.WaitGroup
	for range calls {
		for _, f := range fleets {
			reading.Go(func() { get(f, "held") })
		}
	}
	eventually(t, "all are asked", func() bool {
		for _, f := range fleets {
			if f.requests.Load() == 0 {
				return false
			}
		}
		return true
	})
	for _, f := range fleets {
		f.held.Unlock()
	}
	reading.Wait()
	for _, f := range fleets {
		if _, cached := get(f, "held"); !strings.HasPrefix(cached, "hit") {
			t.Errorf("%s: the answer is not from the cache: %q", f.name, cached)
		}
		if got := f.requests.Load(); got != 1 {
			t.Errorf("%s: %d requests for one read, want 1", f.name, got)
		}
		if got := metric(t, at.Admin, "samsara_gateway_reads_total", `organization="`+f.name+`"`); got != calls+1 {
			t.Errorf("%s: %v reads, want %d", f.name, got, calls+1)
		}
	}

	// The same feed of all is read for each.
	for _, f := range fleets {
		stream, err := locationandspeedv1.NewLocationAndSpeedServiceClient(conn).FollowLocationAndSpeed(forOrganization(waiting(t), f.name),
			&locationandspeedv1.FollowLocationAndSpeedRequest{Request: &locationandspeedv1.ListLocationAndSpeedRequest{}})
		if err != nil {
			t.Fatal(err)
		}
		for range 4 {
			m, err := stream.Recv()
			if err != nil {
				t.Fatalf("%s: %v", f.name, err)
			}
			if got := m.GetPage().GetData()[0].GetAsset().GetId(); got != f.name || !strings.HasPrefix(m.GetCursor(), f.name) {
				t.Errorf("%s: got a page of %q with the cursor %q", f.name, got, m.GetCursor())
			}
		}
	}

	// A 429 and an open circuit of one are not the others'.
	for _, bad := range fleets {
		others := func(what string) {
			for _, f := range fleets {
				if f == bad {
					continue
				}
				began := time.Now()
				get(f, what+" of "+bad.name)
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("%s waited %v for %s of %s", f.name, took, what, bad.name)
				}
				if paused := quotasAt(t, at.Admin)[f.name].Budgets; what == "429" && pauseOf(paused, getTagBudget) > 0 {
					t.Errorf("%s is paused by the 429 of %s", f.name, bad.name)
				}
				open := metric(t, at.Admin, "samsara_gateway_upstream_open_circuits", `organization="`+f.name+`"`)
				if what == "503" && open != 0 {
					t.Errorf("%s has %v open circuits by the 503 of %s", f.name, open, bad.name)
				}
			}
		}
		bad.status.Store(http.StatusServiceUnavailable)
		eventually(t, "the circuit of "+bad.name+" opens", func() bool {
			_, _, err := nameAt(t, conn, bad.name, "503")
			return verdictOf(err).reason == "UPSTREAM_CIRCUIT_OPEN"
		})
		others("503")
		bad.status.Store(0)
		n := 0
		eventually(t, "the circuit of "+bad.name+" closes", func() bool {
			n++ // Another tag each time, since answers are cached.
			_, _, err := nameAt(t, conn, bad.name, fmt.Sprint("again ", n))
			return err == nil && metric(t, at.Admin, "samsara_gateway_upstream_open_circuits", `organization="`+bad.name+`"`) == 0
		})
		bad.status.Store(http.StatusTooManyRequests)
		if _, _, err := nameAt(t, conn, bad.name, "429"); verdictOf(err).code != codes.ResourceExhausted {
			t.Errorf("%s: got %v, want the 429", bad.name, err)
		}
		eventually(t, bad.name+" is paused", func() bool {
			return pauseOf(quotasAt(t, at.Admin)[bad.name].Budgets, getTagBudget) > 0
		})
		others("429")
		bad.status.Store(0)
		eventually(t, bad.name+" is not paused any more", func() bool {
			return pauseOf(quotasAt(t, at.Admin)[bad.name].Budgets, getTagBudget) == 0
		})
	}
	for _, f := range fleets {
		if n := f.foreign.Load(); n > 0 {
			t.Errorf("%s got %d requests without its token", f.name, n)
		}
		made := metric(t, at.Admin, "samsara_gateway_upstream_attempts_total", `organization="`+f.name+`"`)
		if got := float64(f.requests.Load()); made != got {
			t.Errorf("%s got %v requests, the metric says %v", f.name, got, made)
		}
	}
}

// TestOrganizations_changeWhileCallsRun changes the file while one organization is called all the time.
func TestOrganizations_changeWhileCallsRun(t *testing.T) {
	t.Parallel()
	north, south, moved := startFleet(t, "north"), startFleet(t, "south"), startFleet(t, "south")
	p, at, file := startOrganizations(t, north.entry("default: true"), "--quota=false")
	load := startTagLoad(t, at.GRPC)
	conn := connect(t, at.GRPC, insecure.NewCredentials())
	change := func(entries string) (took func() time.Duration) {
		t.Helper()
		replace(t, file, "organizations:\n"+entries)
		began := time.Now()
		return func() time.Duration { return time.Since(began) }
	}
	serves := func(what string, took func() time.Duration) {
		t.Helper()
		eventually(t, what, func() bool {
			name, _, err := nameAt(t, conn, "south", "1")
			return err == nil && name == "south"
		})
		t.Logf("%s after %v", what, took())
	}

	serves("south is served", change(north.entry("default: true")+south.entry()))

	// The path of its token changes: the new token is used, and a stream goes on.
	stream := followSouth(t, conn)
	renamed := tokenFile(t, "another-token")
	old := south.tokenFile
	south.tokenFile = renamed
	change(north.entry("default: true") + south.entry())
	eventually(t, "south's new token is sent", func() bool {
		_, _, err := nameAt(t, conn, "south", "1")
		return err != nil && south.foreign.Load() > 0
	})
	replace(t, renamed, south.token)
	serves("south's new file of its token is followed", func() time.Duration { return 0 })
	if !strings.Contains(filesAt(t, at.Admin), `file="api-token:south"`) {
		t.Error("the file of south's token has no metric")
	}
	replace(t, old, "nobody reads this")
	stream.page(t)

	// A bad file changes nothing.
	change("  - {name: north}\n")
	eventually(t, "the file is bad", func() bool {
		_, body := get(t, "http://"+at.Admin+"/readyz", "")
		return strings.Contains(body, `file organizations: the last good one is in use`)
	})
	serves("south is served with a bad file", func() time.Duration { return 0 })

	// Its base URL changes: streams end with their cursor, calls that run finish.
	south.held.Lock()
	running := make(chan error, 1)
	asked := south.requests.Load()
	go func() {
		_, _, err := nameAt(t, conn, "south", "held")
		running <- err
	}()
	eventually(t, "a call runs", func() bool { return south.requests.Load() > asked })
	moved.token, moved.tokenFile = south.token, south.tokenFile
	took := change(north.entry("default: true") + moved.entry())
	eventually(t, "south has moved", func() bool {
		_, _, err := nameAt(t, conn, "south", "1")
		return err == nil && moved.requests.Load() > 0
	})
	t.Logf("south has moved after %v", took())
	stream.ended(t)
	south.held.Unlock()
	if err := <-running; err != nil {
		t.Errorf("the call that ran ends with %v", err)
	}

	// It is removed.
	stream = followSouth(t, conn)
	took = change(north.entry("default: true"))
	eventually(t, "south is unknown", func() bool {
		_, _, err := nameAt(t, conn, "south", "1")
		return verdictOf(err).text == `samsara-org: is "south", must be one of north`
	})
	t.Logf("south is unknown after %v", took())
	stream.ended(t)
	eventually(t, "south's metrics are gone", func() bool {
		_, text := get(t, "http://"+at.Admin+"/metrics", "")
		return !strings.Contains(text, "south")
	})
	load.wantNoFailure(t)
	if n := north.foreign.Load() + moved.foreign.Load(); n > 0 {
		t.Errorf("%d requests came with another's token", n)
	}
	p.stop(t)
	for _, token := range []string{south.token, north.token, "another-token"} {
		if _, text, _ := p.log(); strings.Contains(text, token) {
			t.Error("the log has a token")
		}
	}
}

// southStream is a stream that follows a feed of south.
type southStream struct {
	grpc.ServerStreamingClient[locationandspeedv1.FollowLocationAndSpeedResponse]
	cursor string
}

func followSouth(t *testing.T, conn *grpc.ClientConn) *southStream {
	t.Helper()
	stream, err := locationandspeedv1.NewLocationAndSpeedServiceClient(conn).FollowLocationAndSpeed(forOrganization(waiting(t), "south"),
		&locationandspeedv1.FollowLocationAndSpeedRequest{
			Request: &locationandspeedv1.ListLocationAndSpeedRequest{},
			Options: &apiv1.FollowOptions{KeepAliveInterval: durationpb.New(time.Second)},
		})
	if err != nil {
		t.Fatal(err)
	}
	s := &southStream{ServerStreamingClient: stream}
	s.page(t)
	return s
}

// page receives a message.
func (s *southStream) page(t *testing.T) {
	t.Helper()
	m, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	s.cursor = m.GetCursor()
}

// ended receives what remains, and checks that the stream ends with its cursor.
func (s *southStream) ended(t *testing.T) {
	t.Helper()
	for {
		m, err := s.Recv()
		if err == nil {
			s.cursor = m.GetCursor()
			continue
		}
		if v := verdictOf(err); v.code != codes.Unavailable || v.reason != "GATEWAY_DRAINING" {
			t.Errorf("the stream ends with %v", err)
		}
		if got := strings.Join(s.Trailer().Get("samsara-cursor"), ","); got != s.cursor {
			t.Errorf("the stream ends with the cursor %q, want %q", got, s.cursor)
		}
		return
	}
}

// filesAt returns the metrics of a gateway's files.
func filesAt(t *testing.T, admin string) string {
	t.Helper()
	_, text := get(t, "http://"+admin+"/metrics", "")
	return text
}

// TestOrganizations_whoMayUseThem has a policy that lets a caller work for one organization.
func TestOrganizations_whoMayUseThem(t *testing.T) {
	t.Parallel()
	const static = "sgw_a-static-token-of-billing"
	north, south := startFleet(t, "north"), startFleet(t, "south")
	policy := tokenFile(t, "rules:\n  - {name: billing, identities: [\"token:billing\"], methods: [read, passthrough], organizations: [south], effect: allow}\n")
	_, at, _ := startOrganizations(t, north.entry("default: true")+south.entry(), "--passthrough",
		"--caller-tokens-file", tokenFile(t, tokenLine("billing", static)), "--policy-file", policy)
	conn := connect(t, at.GRPC, insecure.NewCredentials())
	for _, test := range []struct{ selected, token, code, text string }{
		{"south", static, "OK", ""},
		{"north", static, "PermissionDenied", `token:billing may not call samsara_gateway.tags.v1.TagsService/GetTag for organization "north": no rule allows it`},
		{"", static, "PermissionDenied", `token:billing may not call samsara_gateway.tags.v1.TagsService/GetTag for organization "north": no rule allows it`},
		{"east", static, "InvalidArgument", `samsara-org: is "east", must be one of south`},
		{"east", "", "Unauthenticated", "the call proves nothing of its caller, who must: by a client certificate or a bearer token"},
		{"south", "", "Unauthenticated", "the call proves nothing of its caller, who must: by a client certificate or a bearer token"},
	} {
		ctx := waiting(t)
		if test.selected != "" {
			ctx = forOrganization(ctx, test.selected)
		}
		if test.token != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+test.token)
		}
		_, err := tagsv1.NewTagsServiceClient(conn).GetTag(ctx, &tagsv1.GetTagRequest{Id: proto.String("1")})
		if v := verdictOf(err); v.code.String() != test.code || v.text != test.text {
			t.Errorf("%q: got %v %q, want %s %q", test.selected, v.code, v.text, test.code, test.text)
		}
		if test.code != "OK" {
			continue
		}
		resp, err := apiv1.NewPassthroughServiceClient(conn).Call(ctx, &apiv1.CallRequest{Method: proto.String("GET"), Path: proto.String("/tags/1")})
		if err != nil || !strings.Contains(resp.GetBody(), test.selected) {
			t.Errorf("%q: passthrough answers %q, %v", test.selected, resp.GetBody(), err)
		}
	}
	if n := north.requests.Load() + north.foreign.Load(); n > 0 {
		t.Errorf("north was asked %d times, want 0", n)
	}
}

// TestOrganizations_sandboxes has organizations before sandboxes of their own, whose fleets differ.
func TestOrganizations_sandboxes(t *testing.T) {
	t.Parallel()
	_, at, _ := startOrganizations(t, "  - {name: north, token-file: /none}\n  - {name: south, token-file: /none}\n", "--sandbox")
	conn := connect(t, at.GRPC, insecure.NewCredentials())
	client := tagsv1.NewTagsServiceClient(conn)
	ids := make(map[string]string)
	for _, name := range []string{"north", "south"} {
		created, err := client.CreateTag(forOrganization(waiting(t), name), &tagsv1.CreateTagRequest{Name: proto.String("only " + name)})
		if err != nil {
			t.Fatal(err)
		}
		ids[name] = created.GetData().GetId()
	}
	for _, creator := range []string{"north", "south"} {
		for _, reader := range []string{"north", "south"} {
			resp, err := client.GetTag(forOrganization(waiting(t), reader), &tagsv1.GetTagRequest{Id: proto.String(ids[creator])})
			if got := resp.GetData().GetName() == "only "+creator; got != (creator == reader) {
				t.Errorf("%s gets %q for what was created for %s: %v", reader, resp.GetData().GetName(), creator, err)
			}
		}
	}
}

func TestOrganizations_refusedSettings(t *testing.T) {
	t.Parallel()
	f := startFleet(t, "north")
	good := tokenFile(t, "organizations:\n"+f.entry())
	gone := filepath.Join(t.TempDir(), "gone")
	for name, test := range map[string]struct {
		args, env []string
		want      []string
	}{
		"with the settings of one": {
			[]string{"--organizations-file=" + good, "--upstream-url=" + f.url, "--api-token-file=" + f.tokenFile, "--quota-organization=a", "--quota-token-limit=1/s", "--quota-organization-limit=1/s"},
			[]string{"SAMSARA_API_TOKEN=secret"},
			[]string{"--upstream-url ", "--api-token-file ", "--quota-organization ", "--quota-token-limit ", "--quota-organization-limit ", "environment SAMSARA_API_TOKEN: set, and so is --organizations-file "},
		},
		"no file":       {[]string{"--organizations-file=" + gone}, nil, []string{`open ` + gone + `: no such file or directory`}},
		"a bad file":    {[]string{"--organizations-file=" + tokenFile(t, "organizations:\n  - {name: a, region: x}\n")}, nil, []string{`line 2: "a": token-file or oauth: must be set`, `line 2: "a": region: is "x", must be us, eu or ca`}},
		"no token file": {[]string{"--organizations-file=" + tokenFile(t, "organizations:\n  - {name: a, token-file: "+gone+"}\n")}, nil, []string{`organization "a": open ` + gone + `: no such file or directory`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := run(t.Context(), test.args, test.env, nil, io.Discard, io.Discard)
			var bad *config.Error
			if !errors.As(err, &bad) {
				t.Fatalf("got %v, want an error of the configuration", err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error has not %q:\n%v", want, err)
				}
			}
			if strings.Contains(err.Error(), "secret") {
				t.Error("the error has the token")
			}
		})
	}
}

// TestOrganizations_quotaInRedis has two replicas with one Redis: they share the budget of each organization, and the
// organizations share none.
func TestOrganizations_quotaInRedis(t *testing.T) {
	t.Parallel()
	north, south := startFleet(t, "north"), startFleet(t, "south")
	entries := north.entry() + south.entry()
	redis := startRedis(t)
	var conns []*grpc.ClientConn
	for range 2 {
		_, at, _ := startOrganizations(t, entries, "--quota-redis", redis.url(), patientRedis, "--quota-replicas=2", "--quota-margin=0",
			"--quota-max-wait=1ms", "--quota-limits=samsara_gateway.tags.v1.*=3/m")
		conns = append(conns, ready(t, at.GRPC, 1)...)
	}
	for _, f := range []*fleet{north, south} {
		through := 0
		for n := range 8 {
			_, _, err := nameAt(t, conns[n%2], f.name, strconv.Itoa(n))
			switch got := verdictOf(err); {
			case got.code == codes.OK:
				through++
			case got.reason != "GATEWAY_QUOTA":
				t.Fatal(got)
			}
		}
		if asked := f.requests.Load(); through != 3 || asked != 3 {
			t.Errorf("%s: %d calls were let through, and %d requests came, want 3", f.name, through, asked)
		}
	}
}
