package explain_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "samsara.internal/gateway/gen"
	"samsara.internal/gateway/internal/catalog"
	"samsara.internal/gateway/internal/config"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/explain"
	"samsara.internal/gateway/internal/quota"
	"samsara.internal/gateway/proto"
	"samsara.internal/gateway/upstream"
)

func load(t *testing.T) []*endpoint.Endpoint {
	t.Helper()
	endpoints, err := endpoint.Load(protoregistry.GlobalFiles, protoregistry.GlobalTypes)
	if err != nil {
		t.Fatal(err)
	}
	return endpoints
}

// newExplainer returns the explainer of a gateway with the given arguments and the upstream at base.
func newExplainer(t *testing.T, base string, args ...string) *explain.Explainer {
	t.Helper()
	endpoints := load(t)
	cfg, err := config.LoadExplain(args, nil, config.API{Methods: []string{"samsara_gateway.tags.v1.TagsService/GetTag"}, Reads: []string{"samsara_gateway.tags.v1.TagsService/GetTag"}})
	if err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	var limiter *quota.Limiter
	if cfg.Quota {
		limits := quota.Defaults()
		limits.Overrides = cfg.QuotaLimits
		if limiter, err = quota.New(limits); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := limiter.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	client, err := upstream.New(upstream.Config{
		Quota:   limiter,
		BaseURL: at, Token: upstream.StaticToken(explain.Token), CacheTTL: cfg.CacheTTL, CacheBytes: 1 << 20,
		Retry: upstream.RetryPolicy{MaxAttempts: 2, BaseDelay: time.Microsecond, MaxDelay: time.Microsecond, Budget: 1e6},
		// No circuit opens.
		Breaker: upstream.BreakerPolicy{FailureRatio: 2},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &explain.Explainer{
		Methods: catalog.New(endpoints), Client: client, Quota: limiter, Config: &cfg, Corrections: corrections(t),
	}
}

func corrections(t *testing.T) explain.Corrections {
	t.Helper()
	all, err := explain.ReadCorrections(proto.Corrections)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestExplain_repeatsAsTheClientDoes ends calls of each kind with every HTTP status, and compares what the
// client makes of it with what was explained: code, reason and whether the request was repeated.
func TestExplain_repeatsAsTheClientDoes(t *testing.T) {
	t.Parallel()
	var status atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) }))
	defer server.Close()
	// Without the quota, which pauses after 429.
	x := newExplainer(t, server.URL, "--quota=false")
	endpoints := load(t)
	for name, request := range map[string]string{"GetTag": `{"id": "1"}`, "CreateTag": `{"name": "a"}`, "UpdateTag": `{"id": "1"}`, "DeleteTag": `{"id": "1"}`} {
		i := slices.IndexFunc(endpoints, func(e *endpoint.Endpoint) bool { return string(e.Method.Name()) == name })
		e := endpoints[i]
		plan, err := x.Explain(t.Context(), name, []byte(request))
		if err != nil {
			t.Fatal(err)
		}
		op, err := x.Client.Operation(upstream.OperationSpec{Endpoint: e})
		if err != nil {
			t.Fatal(err)
		}
		for s := 400; s < 600; s++ {
			status.Store(int64(s))
			_, err := x.Client.Do(t.Context(), op, upstream.Call{Path: "/tags", Body: []byte("{}")})
			var failed *upstream.Error
			if !errors.As(err, &failed) {
				t.Fatalf("%d: %v", s, err)
			}
			repeated := failed.Attempts > 1
			if holds(t, plan.Retries.Statuses, s) != repeated {
				t.Errorf("%s, %d: %d attempts; repeated after %v", name, s, failed.Attempts, plan.Retries.Statuses)
			}
			want := explain.Reason{Code: code.Code(failed.Code).String(), Reason: upstream.ReasonText(failed.Reason), Domain: failed.Domain, Repeated: repeated}
			if !slices.Contains(plan.Reasons, want) {
				t.Errorf("%s, %d: ends with %+v, which is not explained", name, s, want)
			}
			_, err = x.Client.Do(t.Context(), op, upstream.Call{Path: "/tags", Body: []byte("{}"), RetryAlways: true})
			if !errors.As(err, &failed) || holds(t, plan.Retries.StatusesAlways, s) != (failed.Attempts > 1) {
				t.Errorf("%s, %d, always: %v; repeated after %v", name, s, err, plan.Retries.StatusesAlways)
			}
		}
	}
}

// holds reports whether a list such as 408, 500-599 has a status.
func holds(t *testing.T, list []string, status int) bool {
	t.Helper()
	return slices.ContainsFunc(list, func(text string) bool {
		var from, to int
		if n, _ := fmt.Sscanf(text, "%d-%d", &from, &to); n == 1 {
			to = from
		} else if n == 0 {
			t.Fatalf("%q", text)
		}
		return from <= status && status <= to
	})
}

func TestExplain_budgetsAndCacheSayWhereTheyComeFrom(t *testing.T) {
	t.Parallel()
	x := newExplainer(t, "http://127.0.0.1:1", "--quota-limits", "samsara_gateway.tags.*=1/min", "--cache=samsara_gateway.tags.*=30s")
	for name, test := range map[string]struct {
		want  explain.Budget
		cache float64
	}{
		"GetTag": {explain.Budget{
			Name: "operation:samsara_gateway.tags.v1.TagsService/GetTag", Limit: "1/min", Effective: 1 / 1.04,
			From: "--quota-limits samsara_gateway.tags.*=1/min (the command line)",
		}, 30},
		"ListDrivers": {explain.Budget{
			Name: "operation:samsara_gateway.drivers.v1.DriversService/ListDrivers", Limit: "5/s", Effective: 5 / 1.04,
			From: "Samsara's API document, corrected by action N",
		}, 0},
		"ListSpeedingIntervals": {explain.Budget{
			Name: "operation:samsara_gateway.speeding_intervals.v1.SpeedingIntervalsService/ListSpeedingIntervals", Limit: "5/s", Effective: 5 / 1.04,
			From: "Samsara's API document",
		}, 0},
		"GetAttribute": {explain.Budget{
			Name: "operation:samsara_gateway.attributes.v1.AttributesService/GetAttribute", Limit: "none", From: "Samsara's API document, which states none",
		}, 0},
	} {
		request := `{"id": "1"}`
		if name == "ListDrivers" {
			request = ""
		}
		if name == "ListSpeedingIntervals" {
			request = `{"assetIds": ["1"], "startTime": "2026-01-01T00:00:00Z"}`
		}
		if name == "GetAttribute" {
			request = `{"id": "1", "entity_type": "asset"}`
		}
		plan, err := x.Explain(t.Context(), name, []byte(request))
		if err != nil {
			t.Fatal(err)
		}
		got := plan.Quota.Budgets[len(plan.Quota.Budgets)-1]
		for _, c := range plan.Corrections {
			got.From = strings.Replace(got.From, fmt.Sprintf("action %d", c.Action), "action N", 1)
		}
		if diff := cmp.Diff(test.want, got, cmp.Comparer(func(a, b float64) bool { return a-b < 1e-6 && b-a < 1e-6 })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if len(plan.Quota.Budgets) != 3 || plan.Reads.CacheSeconds != test.cache {
			t.Errorf("%s: %+v, %+v", name, plan.Quota.Budgets, plan.Reads)
		}
	}
}

func TestExplain_refusesRequests(t *testing.T) {
	t.Parallel()
	x := newExplainer(t, "http://127.0.0.1:1")
	const tag = "samsara_gateway.tags.v1.TagsService/GetTag: "
	const noTag = tag + "the request is not the JSON of a samsara_gateway.tags.v1.GetTagRequest: "
	const contact = "samsara_gateway.contacts.v1.ContactsService/UpdateContact: the request is not the JSON of a samsara_gateway.contacts.v1.UpdateContactRequest: "
	for _, test := range []struct{ method, request, want string }{
		{"GetTag", ``, tag + "INVALID_ARGUMENT: the gateway refuses the request\n  id: is required"},
		{"GetTag", `{"id": ".."}`, tag + "INVALID_ARGUMENT: the gateway refuses the request\n  id: is \"..\", must be neither empty nor a path segment of dots"},
		{"GET /tags/7", `{"id": "8"}`, tag + "INVALID_ARGUMENT: the gateway refuses the request\n  id: is \"8\", must be unset or what the path has: \"7\""},
		{"FollowVehicleStats", `{"request": {"after": "x"}, "options": {"pollInterval": "1s"}}`, "samsara_gateway.vehicle_stats.v1.VehicleStatsService/FollowVehicleStats: INVALID_ARGUMENT: the gateway refuses the request\n" +
			"  options.poll_interval: is 1s, must be at least 5s\n  request.after: must not be set: a followed feed begins at options.from_cursor\n  request.types: is required"},
		{"GetTag", `{"id": 1`, noTag + "(line 1:8): invalid value for string field id: 1"},
		{"GetTag", `{"ids": "1"}`, noTag + "(line 1:2): unknown field \"ids\""},
		{"GetTag", `[]`, noTag + "syntax error (line 1:1): unexpected token ["},
		{"GetTag", `{"id": "a\ud800"}`, noTag + `id: is "a\ud800", must not have half of a surrogate pair, which is no character: \ud800`},
		{"GetTag", `{"id": "\ud83d\ude00\udead\ude00"}`, noTag + `id: is "\ud83d\ude00\udead\ude00", must not have half of a surrogate pair, which is no character: \udead`},
		{"GetTag", `{"id": "\ud800\\udc00"}`, noTag + `id: is "\ud800\\udc00", must not have half of a surrogate pair, which is no character: \ud800`},
		{"GetTag", "{\"id\": \"a\xff\"}", noTag + "id: is \"a\uFFFD\", must be valid UTF-8"},
		{"GetTag", `{"\ud800": "1"}`, noTag + `a member's name: is "\ud800", must not have half of a surrogate pair, which is no character: \ud800`},
		{
			"CreateTag", `{"addresses": ["1", "` + strings.Repeat("x", 70) + `\udfff"]}`,
			"samsara_gateway.tags.v1.TagsService/CreateTag: the request is not the JSON of a samsara_gateway.tags.v1.CreateTagRequest: " +
				`addresses[1]: is "` + strings.Repeat("x", 63) + `..., must not have half of a surrogate pair, which is no character: \udfff`,
		},
		{"UpdateContact", `{"id": "1", "updateMask": ["phone"]}`, contact + `updateMask: is ["phone"], must be a text such as "name,parentTagId" or an object such as {"paths": ["name"]}`},
		{"UpdateContact", `{"id": "1", "update_mask": {"path": ["phone"]}}`, contact + `update_mask: is {"path": ["phone"]}, must be a text such as "name,parentTagId" or an object such as {"paths": ["name"]}`},
		{"UpdateContact", `{"id": "1", "update_mask": "phone", "updateMask": {}}`, contact + `(line 1:37): duplicate field "updateMask"`},
		{"UpdateContact", "{\"updateMask\": {\"paths\":\n[\"phone\"]},\n\"ids\": 1}", contact + `(line 3:1): unknown field "ids"`},
		{"UpdateContact", `{"id": "1", "updateMask": "phnoe"}`, "samsara_gateway.contacts.v1.ContactsService/UpdateContact: INVALID_ARGUMENT: the gateway refuses the request\n" +
			`  update_mask: "phnoe" does not name a field of the body: there is no "phnoe", but "phone"`},
	} {
		plan, err := x.Explain(t.Context(), test.method, []byte(test.request))
		if err == nil {
			t.Errorf("%s %s: is explained", test.method, test.request)
			continue
		}
		if diff := cmp.Diff(test.want, strings.ReplaceAll(err.Error(), "\u00a0", " ")); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", test.method, test.request, diff)
		}
		if plan.Request != nil || plan.Walk != nil || len(plan.Refused) == 0 || len(plan.Reasons) == 0 || len(plan.Quota.Budgets) != 3 {
			t.Errorf("%s %s: the plan is %+v", test.method, test.request, plan)
		}
	}
}

// What does not depend on the request is the same without a request.
func TestExplain_refusedIsElseTheSame(t *testing.T) {
	t.Parallel()
	x := newExplainer(t, "http://127.0.0.1:1")
	for method, request := range map[string]string{
		"GetTag": `{"id": "1"}`, "UpdateTag": `{"id": "1"}`,
		"StreamAempEquipmentList": `{"request": {"pageNumber": "1"}}`,
	} {
		want, err := x.Explain(t.Context(), method, []byte(request))
		if err != nil {
			t.Fatal(err)
		}
		got, err := x.Explain(t.Context(), method, nil)
		var refused *explain.RefusedError
		if !errors.As(err, &refused) {
			t.Errorf("%s: %v", method, err)
		}
		if want.Request == nil || (want.Walk == nil) != (method != "StreamAempEquipmentList") {
			t.Errorf("%s: the request is %+v, the walk %+v", method, want.Request, want.Walk)
		}
		want.Request, want.Walk = nil, nil
		for _, v := range refused.Violations {
			want.Refused = append(want.Refused, explain.Refusal(v))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-taken +refused):\n%s", method, diff)
		}
	}
}

func TestExplain_unknownMethods(t *testing.T) {
	t.Parallel()
	x := newExplainer(t, "http://127.0.0.1:1")
	const passthrough = "samsara_gateway.api.v1.PassthroughService/Call is not explained: its request says itself what is sent; " +
		"explain the operation by its HTTP method and path, such as 'GET /tags/1'"
	for name, want := range map[string]string{
		"NoSuch":                  `"NoSuch" stands for no method`,
		"PassthroughService/Call": passthrough,
		"/samsara_gateway.api.v1.PassthroughService/Call": passthrough,
	} {
		if plan, err := x.Explain(t.Context(), name, nil); plan != nil || err == nil || err.Error() != want {
			t.Errorf("%s: %+v and %v, want %q", name, plan, err, want)
		}
	}
}

// An update mask is a text or an object. Its name and the names in it are proto names or JSON names.
func TestExplain_updateMask(t *testing.T) {
	t.Parallel()
	x := newExplainer(t, "http://127.0.0.1:1")
	const both = `{"firstName":"Ada","phone":null}`
	for mask, want := range map[string]string{
		`"updateMask": "firstName,phone"`:                                both,
		`"updateMask": "first_name,phone"`:                               both,
		`"update_mask": "phone,first_name"`:                              both,
		`"updateMask": {"paths": ["firstName", "phone"]}`:                both,
		"\"update_mask\": {\n\"paths\": [\"first_name\",\n\"phone\"]\n}": both,
		`"updateMask": "phone"`:                                          `{"phone":null}`,
		`"updateMask": ""`:                                               `{"firstName":"Ada"}`,
		`"updateMask": {}`:                                               `{"firstName":"Ada"}`,
		`"updateMask": {"paths": []}`:                                    `{"firstName":"Ada"}`,
		`"updateMask": null`:                                             `{"firstName":"Ada"}`,
	} {
		plan, err := x.Explain(t.Context(), "UpdateContact", []byte(`{"id": "7", `+mask+`, "firstName": "Ada"}`))
		if err != nil {
			t.Errorf("%s: %v", mask, err)
			continue
		}
		if plan.Request.Body != want {
			t.Errorf("%s: the body is %s, want %s", mask, plan.Request.Body, want)
		}
	}
}

// A path fills the request, which may say the same.
func TestExplain_pathWithIDs(t *testing.T) {
	t.Parallel()
	x := newExplainer(t, "http://127.0.0.1:1")
	for _, test := range []struct{ method, request, want string }{
		{"GET /tags/3914", ``, "/tags/3914"},
		{"GET /tags/3914", `{"id": "3914"}`, "/tags/3914"},
		{"GET /tags/{id}", `{"id": "3914"}`, "/tags/3914"},
		{"get https://api.samsara.com/tags/a%20b%2Fc", ``, "/tags/a%20b%2Fc"},
		{"GET /v1/fleet/trailers/7/assignments", ``, "/v1/fleet/trailers/7/assignments"},
	} {
		plan, err := x.Explain(t.Context(), test.method, []byte(test.request))
		if err != nil {
			t.Errorf("%s: %v", test.method, err)
			continue
		}
		if got := strings.TrimPrefix(plan.Request.URL, "http://127.0.0.1:1"); got != test.want {
			t.Errorf("%s %s: asks for %s, want %s", test.method, test.request, got, test.want)
		}
	}
}

// Each action of corrections.yaml is about some method, and each action about a rate limit is why the method
// has it.
func TestExplain_corrections(t *testing.T) {
	t.Parallel()
	x := newExplainer(t, "http://127.0.0.1:1")
	about, numbers := make(map[int][]string), make(map[string]int)
	for _, e := range load(t) {
		plan, _ := x.Explain(t.Context(), e.FullMethod, nil)
		for _, c := range plan.Corrections {
			about[c.Action] = append(about[c.Action], string(e.Method.Name()))
			numbers[c.Target] = c.Action
			if c.Target == "" || c.Description == "" {
				t.Errorf("%s: %+v", e.FullMethod, c)
			}
		}
	}
	for i := range corrections(t) {
		if about[i+1] == nil {
			t.Errorf("action %d is about no method", i+1)
		}
	}
	for target, want := range map[string][]string{
		"$.paths['/tags'].get": {"ListTags"},
		"$.paths['/fleet/vehicles/stats'][?!@.parameters[?@.name=='limit']].parameters": {"ListVehicleStats"},
		"$.components.schemas.V1AssetLocationResponse":                                  {"GetAssetLocation"},
		"$.components.schemas":                               {"GetSensorsHistory"}, // which it adds a name to
		"$.paths['/agent-studio/voice-sessions/stream'].get": {"ListVoiceSessions"},
	} {
		if diff := cmp.Diff(want, about[numbers[target]]); diff != "" {
			t.Errorf("methods of action %d, %s (-want +got):\n%s", numbers[target], target, diff)
		}
	}
	plan, err := x.Explain(t.Context(), "ListRidershipAccounts", nil)
	if err != nil || !plan.Deprecated || plan.Corrections != nil {
		t.Errorf("%+v, %v", plan, err)
	}
}

func TestReadCorrections_refused(t *testing.T) {
	t.Parallel()
	if _, err := explain.ReadCorrections([]byte("actions: 1")); err == nil || !strings.HasPrefix(err.Error(), "corrections: yaml: ") {
		t.Error(err)
	}
}
