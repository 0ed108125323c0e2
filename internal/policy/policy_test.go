package policy_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "samsara.internal/gateway/gen" // Registers the descriptors of the whole API.
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/policy"
)

const (
	listTags    = "/samsara_gateway.tags.v1.TagsService/ListTags"
	streamTags  = "/samsara_gateway.tags.v1.TagsService/StreamTags"
	createTag   = "/samsara_gateway.tags.v1.TagsService/CreateTag"
	getVehicle  = "/samsara_gateway.vehicles.v1.VehiclesService/GetVehicle"
	passthrough = "/samsara_gateway.api.v1.PassthroughService/Call"
	reflection  = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
)

func api(tb testing.TB) *policy.API {
	tb.Helper()
	endpoints, err := endpoint.Load(protoregistry.GlobalFiles, protoregistry.GlobalTypes)
	if err != nil {
		tb.Fatal(err)
	}
	return policy.NewAPI(endpoints, "north", "south")
}

func parse(tb testing.TB, text string) *policy.Policy {
	tb.Helper()
	p, err := policy.Parse([]byte(text), api(tb))
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func token(name string) identity.Principal {
	return identity.Principal{Means: identity.Token, Name: name}
}

// decided returns "allow" or "deny" and the rule, for a method and an organization.
func decided(t *testing.T, p *policy.Policy, who identity.Principal, method, organization string) string {
	t.Helper()
	d := p.Grant(who).Decide(p.API().Method(method), organization)
	if d.Allowed {
		return "allow by " + d.Rule
	}
	return "deny by " + d.Rule
}

const example = `
groups:
  dispatch: ["jwt:system:serviceaccount:dispatch:*", "token:dispatch"]
rules:
  - {name: everybody reads, identities: ["*"], methods: [read, reflection], effect: allow}
  - {name: dispatch writes tags, identities: ["group:dispatch"], methods: ["area:tags & write"], organizations: [north], effect: allow}
  - {name: no streams for report, identities: ["token:report"], methods: [stream], effect: deny}
  - {name: admin, identities: ["certificate:spiffe://acme.test/admin/*"], methods: ["*"], effect: allow}
  - {name: nobody passes through, identities: ["*"], methods: [passthrough], effect: deny}
limits:
  - {name: report is slow, identities: ["token:report"], organizations: [south], weight: 0.5, priority: batch, requests-per-second: 5, concurrent-streams: 2}
`

func TestDecide_table(t *testing.T) {
	t.Parallel()
	p := parse(t, example)
	service := identity.Principal{Means: identity.JWT, Name: "system:serviceaccount:dispatch:web"}
	admin := identity.Principal{Means: identity.Certificate, Name: "spiffe://acme.test/admin/jo/x"}
	for _, test := range []struct {
		who                  identity.Principal
		method, organization string
		want                 string
	}{
		{token("x"), listTags, "north", "allow by everybody reads"},
		{token("x"), streamTags, "north", "allow by everybody reads"},
		{token("report"), streamTags, "north", "deny by no streams for report"},
		{token("report"), listTags, "north", "allow by everybody reads"},
		{token("x"), createTag, "north", "deny by "},
		{token("dispatch"), createTag, "north", "allow by dispatch writes tags"},
		{service, createTag, "north", "allow by dispatch writes tags"},
		{service, createTag, "south", "deny by "},
		{identity.Principal{Means: identity.JWT, Name: "system:serviceaccount:dispatchers:web"}, createTag, "north", "deny by "},
		{identity.Principal{Means: identity.Token, Name: service.Name}, createTag, "north", "deny by "},
		{admin, createTag, "south", "allow by admin"},
		{admin, passthrough, "south", "deny by nobody passes through"},
		{identity.Principal{}, listTags, "north", "deny by "},
		{token("x"), reflection, "north", "allow by everybody reads"},
	} {
		if got := decided(t, p, test.who, test.method, test.organization); got != test.want {
			t.Errorf("%v, %s for %s: got %q, want %q", test.who, test.method, test.organization, got, test.want)
		}
	}
	if m := p.API().Method("/samsara_gateway.tags.v1.TagsService/Nothing"); m != nil {
		t.Errorf("a method that does not exist is %v", m)
	}
	want := &policy.Limits{Name: "report is slow", Weight: 0.5, Batch: true, RequestsPerSecond: 5, Streams: 2}
	if diff := cmp.Diff(want, p.Grant(token("report")).Decide(p.API().Method(listTags), "south").Limits); diff != "" {
		t.Errorf("limits (-want +got):\n%s", diff)
	}
	if got := p.Grant(token("report")).Decide(p.API().Method(listTags), "north").Limits; got != nil {
		t.Errorf("limits for another organization: %+v, want none", got)
	}
}

func TestDecide_denyBeatsAllowInEitherOrder(t *testing.T) {
	t.Parallel()
	const allow = `{name: a, identities: ["*"], methods: ["*"], effect: allow}`
	const deny = `{name: d, identities: ["token:x"], methods: ["samsara_gateway.tags.v1.*"], effect: deny}`
	for _, rules := range []string{allow + "," + deny, deny + "," + allow, deny + "," + allow + "," + deny[:7] + "2" + deny[7:]} {
		p := parse(t, "rules: ["+rules+"]")
		if got := decided(t, p, token("x"), listTags, "north"); got != "deny by d" {
			t.Errorf("%s: got %q, want it denied by d", rules, got)
		}
		if got := decided(t, p, token("x"), getVehicle, "north"); got != "allow by a" {
			t.Errorf("%s: got %q, want it allowed by a", rules, got)
		}
	}
}

func TestNames_groupsThenIdentitiesOfRules(t *testing.T) {
	t.Parallel()
	p := parse(t, `
groups:
  web: ["token:web", "token:both"]
  dispatch: ["jwt:dispatch:*", "token:both"]
rules:
  - {name: a, identities: ["token:report", "group:web", "*"], methods: [read], effect: allow}
  - {name: b, identities: ["token:re*", "anonymous"], methods: [read], effect: allow}
`)
	if diff := cmp.Diff([]string{"dispatch", "web", "token:report", "token:re*", "anonymous"}, p.Names()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for who, want := range map[identity.Principal]string{
		token("both"):   "dispatch",
		token("web"):    "web",
		token("report"): "token:report",
		token("rest"):   "token:re*",
		token("other"):  "",
		{}:              "anonymous",
		{Means: identity.JWT, Name: "dispatch:x"}: "dispatch",
	} {
		if got := p.Grant(who).Name(); got != want {
			t.Errorf("%v is called %q, want %q", who, got, want)
		}
	}
}

func TestPassthrough_byWhatItReaches(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		rules string
		want  map[string]string // by request: "" if it is allowed, else what is not
	}{
		"everything": {`{name: all, identities: ["*"], methods: ["*"], effect: allow}`, map[string]string{
			"GET /tags": "", "POST /tags": "", "GET /beta/nothing": "", "POST /beta/nothing": "",
		}},
		"reads alone": {`{name: r, identities: ["*"], methods: ["passthrough & read", read], effect: allow}`, map[string]string{
			"GET /tags": "", "POST /tags": "a write by passthrough", "GET /beta/nothing": "", "POST /beta/nothing": "a write by passthrough",
		}},
		"what the operation is denied": {`{name: all, identities: ["*"], methods: ["*"], effect: allow}, {name: d, identities: ["*"], methods: ["area:tags"], effect: deny}`, map[string]string{
			"GET /tags": listTags[1:], "GET /tags/1": "samsara_gateway.tags.v1.TagsService/GetTag", "GET /fleet/vehicles/1": "", "POST /beta/nothing": "",
		}},
		"by its name": {`{name: n, identities: ["*"], methods: [read, write, "samsara_gateway.api.v1.PassthroughService/Call"], effect: allow}`, map[string]string{
			"GET /tags": "", "POST /tags": "", "GET /beta/nothing": "",
		}},
		"writes denied": {`{name: all, identities: ["*"], methods: ["*"], effect: allow}, {name: d, identities: ["*"], methods: [write], effect: deny}`, map[string]string{
			"GET /tags": "", "POST /tags": "a write by passthrough", "POST /beta/nothing": "a write by passthrough",
		}},
		"not at all": {`{name: r, identities: ["*"], methods: [read, write], effect: allow}`, map[string]string{
			"GET /tags": "a read by passthrough", "POST /tags": "a write by passthrough",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := parse(t, "rules: ["+test.rules+"]")
			for request, want := range test.want {
				method, path, _ := strings.Cut(request, " ")
				d, reached := p.Grant(token("x")).Passthrough(method, path, "north")
				if d.Allowed != (want == "") || !d.Allowed && reached != want {
					t.Errorf("%s: allowed %t, %q by %q, want %q", request, d.Allowed, reached, d.Rule, want)
				}
			}
		})
	}
}

func TestParse_refused(t *testing.T) {
	t.Parallel()
	rule := func(members string) string { return "rules:\n  - {name: r, " + members + "}" }
	const good = `identities: ["*"], methods: [read], effect: allow`
	for text, want := range map[string][]string{
		"":                                      {"is empty"},
		"rules: []":                             {"rules: must have one at least, or nobody may do anything"},
		"rules: 3":                              {"line 1: cannot unmarshal !!int `3`: is of the wrong type"},
		"---\n---\n":                            {"must be one YAML document"},
		"rule: []":                              {"line 1: rule: is no member of this"},
		rule(good + ", efect: x"):               {"line 2: efect: is no member of this"},
		rule(`methods: [read], effect: allow`):  {`line 2: rule "r": identities: has 0 entries, must have 1 to 1000`},
		rule(`identities: ["*"], effect: deny`): {`line 2: rule "r": methods: has 0 entries, must have 1 to 1000`},
		rule(`identities: ["*"], methods: [read], effect: permit`):                       {`line 2: rule "r": effect: is "permit", must be allow or deny`},
		rule(`identities: [billing], methods: [read], effect: allow`):                    {`line 2: rule "r": identities: "billing": must be *, anonymous, group:NAME, or certificate:, jwt: or token: and a name`},
		rule(`identities: ["jwt:"], methods: [read], effect: allow`):                     {`line 2: rule "r": identities: "jwt:": must have a name after the colon`},
		rule(`identities: ["group:x"], methods: [read], effect: allow`):                  {`line 2: rule "r": identities: "group:x": is no group`},
		rule(`identities: ["*"], methods: [reads], effect: allow`):                       {`line 2: rule "r": methods: "reads": "reads" is none of read, write, stream, beta, legacy, passthrough, reflection, channelz, scope:NAME, area:NAME and a pattern of full names, did you mean "read"?`},
		rule(`identities: ["*"], methods: ["area:vehicle"], effect: allow`):              {`line 2: rule "r": methods: "area:vehicle": "vehicle" is no area, did you mean "vehicles"?`},
		rule(`identities: ["*"], methods: ["samsara_gateway.nothing.*"], effect: allow`): {`line 2: rule "r": methods: "samsara_gateway.nothing.*": matches no method`},
		rule(`identities: ["*"], methods: ["read & write"], effect: allow`):              {`line 2: rule "r": methods: "read & write": matches no method`},
		rule(`identities: ["*"], methods: ["read &"], effect: allow`):                    {`line 2: rule "r": methods: "read &": must not be empty, also not beside &`},
		rule(`identities: ["*"], methods: ["grpc.health.v1.*"], effect: allow`):          {`line 2: rule "r": methods: "grpc.health.v1.*": grpc.health is open to all`},
		rule(good + ", organizations: [nort]"):                                           {`line 2: rule "r": organizations: "nort": matches no organization, did you mean "north"?`},
		"rules:\n  - {" + good + "}\n  - {name: a, " + good + "}\n  - {name: a, " + good + "}": {
			"a rule: name: must be set", `line 4: rule "a": name: another rule has it`,
		},
		rule(good) + "\nlimits:\n  - {name: l, identities: [\"*\"]}": {`line 4: limit "l": must have weight, priority, requests-per-second or concurrent-streams`},
		rule(good) + "\nlimits:\n  - {name: l, identities: [\"*\"], weight: .nan, priority: x, concurrent-streams: 0, requests-per-second: -1}": {
			`line 4: limit "l": weight: is NaN, must be from 0.001 to 1000`, `line 4: limit "l": requests-per-second: is -1, must be from 0.01 to 1e+06`,
			`line 4: limit "l": concurrent-streams: is 0, must be from 1 to 1000000`, `line 4: limit "l": priority: is "x", must be batch or left out`,
		},
	} {
		_, err := policy.Parse([]byte(text), api(t))
		var bad *policy.Error
		if !errors.As(err, &bad) {
			t.Errorf("%s: got %v, want an error", text, err)
			continue
		}
		if diff := cmp.Diff(want, bad.Problems); diff != "" {
			t.Errorf("%s: problems (-want +got):\n%s", text, diff)
		}
	}
}

func TestError_oneLine(t *testing.T) {
	t.Parallel()
	err := error(&policy.Error{Problems: []string{"a", "b", "c"}})
	if got := err.Error(); got != "a; and 2 more: see gateway policy check" {
		t.Errorf("got %q", got)
	}
}

func TestReport_example(t *testing.T) {
	t.Parallel()
	p := parse(t, `
rules:
  - {name: reads, identities: ["*"], methods: [read], effect: allow}
  - {name: never, identities: ["token:a*"], methods: [read], effect: allow}
  - {name: no tags, identities: ["*"], methods: ["area:tags"], effect: deny}
`)
	r := p.Report()
	var decides []bool
	for _, rule := range r.Rules {
		decides = append(decides, rule.Decides)
	}
	if diff := cmp.Diff([]bool{true, false, true}, decides); diff != "" {
		t.Errorf("which rules decide (-want +got):\n%s", diff)
	}
	nobody := strings.Join(r.Nobody, "\n")
	for name, want := range map[string]bool{listTags[1:]: true, createTag[1:]: true, getVehicle[1:]: false, passthrough[1:]: true, "grpc.reflection.*": true} {
		if strings.Contains(nobody, name) != want {
			t.Errorf("nobody may use %s: %t, want %t", name, !want, want)
		}
	}
}

// TestExamples_checked reads the policies in docs/.
func TestExamples_checked(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../docs/policies/*.yaml")
	if err != nil || len(files) != 3 {
		t.Fatal(files, err)
	}
	dispatch := identity.Principal{Means: identity.JWT, Name: "system:serviceaccount:dispatch:web"}
	other := identity.Principal{Means: identity.JWT, Name: "system:serviceaccount:report:web"}
	want := map[string]map[string]string{ // by method: who may use it
		"read-only.yaml":      {listTags: "dispatch other", createTag: "", passthrough: ""},
		"writes.yaml":         {listTags: "dispatch other", createTag: "dispatch", passthrough: ""},
		"no-passthrough.yaml": {listTags: "dispatch other", createTag: "dispatch other", passthrough: ""},
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		p, err := policy.Parse(text, api(t))
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		for method, users := range want[filepath.Base(file)] {
			var may []string
			for name, who := range map[string]identity.Principal{"dispatch": dispatch, "other": other} {
				if p.Grant(who).Decide(p.API().Method(method), "north").Allowed {
					may = append(may, name)
				}
			}
			if len(may) == 2 {
				may = []string{"dispatch", "other"}
			}
			if got := strings.Join(may, " "); got != users {
				t.Errorf("%s: %s may be used by %q, want %q", file, method, got, users)
			}
		}
		if p.Grant(identity.Principal{}).Decide(p.API().Method(listTags), "north").Allowed {
			t.Errorf("%s: anonymous callers may read", file)
		}
	}
}

func TestMeter_rateAndStreams(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, l := policy.NewMeter(nil), &policy.Limits{Name: "l", RequestsPerSecond: 5, Streams: 2}
		taken := func(who identity.Principal) (n int, wait time.Duration) {
			for {
				var ok bool
				if wait, ok = m.Take(t.Context(), who, l); !ok {
					return n, wait
				}
				n++
			}
		}
		for _, who := range []identity.Principal{token("a"), token("b")} {
			if n, wait := taken(who); n != 10 || wait != 200*time.Millisecond {
				t.Errorf("%v: %d calls at once and a wait of %v, want 10 and 200ms", who, n, wait)
			}
		}
		time.Sleep(time.Second) //nolint:forbidigo // virtual
		if n, _ := taken(token("a")); n != 5 {
			t.Errorf("after a second: %d calls, want 5", n)
		}
		for i, want := range []bool{true, true, false} {
			if got := m.Enter(token("a"), l); got != want {
				t.Errorf("stream %d: %t, want %t", i, got, want)
			}
		}
		m.Leave(token("a"), l)
		if !m.Enter(token("a"), l) || !m.Enter(token("b"), l) {
			t.Error("a stream that ended, or one of another caller, counts")
		}
	})
}

// FuzzParse makes sure that what is read decides about everything, and that errors are short.
func FuzzParse(f *testing.F) {
	known := api(f)
	for _, seed := range []string{
		example, "", "rules: []", "rules: [{name: a, identities: ['*'], methods: ['*'], effect: allow}]", "a: &a [*a]",
		"groups: {a: ['group:a']}\nrules: [{name: a, identities: ['group:a'], methods: ['read & area:tags & scope:x'], effect: deny}]",
		"limits: [{name: l, identities: ['token:*a*b*'], weight: 1e309}]", "rules: !!binary aGk=",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := policy.Parse(text, known)
		if (p == nil) == (err == nil) {
			t.Fatalf("got %v and %v", p, err)
		}
		if err != nil {
			var bad *policy.Error
			if !errors.As(err, &bad) || len(bad.Problems) == 0 || len(bad.Problems) > 100 {
				t.Fatalf("the error is %v", err)
			}
			return
		}
		for _, who := range []identity.Principal{{}, token("dispatch"), {Means: identity.JWT, Name: "a:b"}} {
			d := p.Grant(who).Decide(known.Method(listTags), "north")
			if d.Allowed && d.Rule == "" {
				t.Fatal("a call is allowed by no rule")
			}
			if who == (identity.Principal{}) && d.Allowed && !strings.Contains(string(text), "anonymous") {
				t.Fatal("an anonymous caller may do what no rule allows it")
			}
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	p := parse(b, example)
	g, m := p.Grant(token("dispatch")), p.API().Method(createTag)
	b.ReportAllocs()
	for b.Loop() {
		if !g.Decide(m, "north").Allowed {
			b.Fatal("denied")
		}
	}
}

func BenchmarkGrant(b *testing.B) {
	p := parse(b, example)
	b.ReportAllocs()
	for b.Loop() {
		p.Grant(token("dispatch")).Decide(p.API().Method(createTag), "north")
	}
}
