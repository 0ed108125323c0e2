package catalog_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "samsara.internal/gateway/gen"
	"samsara.internal/gateway/internal/catalog"
	"samsara.internal/gateway/internal/endpoint"
)

func load(t *testing.T) []*endpoint.Endpoint {
	t.Helper()
	endpoints, err := endpoint.Load(protoregistry.GlobalFiles, protoregistry.GlobalTypes)
	if err != nil {
		t.Fatal(err)
	}
	return endpoints
}

// ids returns the operationIds, which do not change.
func ids(endpoints []*endpoint.Endpoint) []string {
	var ids []string
	for _, e := range endpoints {
		ids = append(ids, e.Operation.GetId())
	}
	return ids
}

func TestSearch_order(t *testing.T) {
	t.Parallel()
	c := catalog.New(load(t))
	for name, test := range map[string]struct {
		words []string
		// first is the operationId of the first result, count how many results there are.
		first string
		count int
	}{
		"all":                                 {nil, "createAddress", len(load(t))},
		"an operationId":                      {[]string{"patchTag"}, "patchTag", 1},
		"an id in another case":               {[]string{"PATCHTAG"}, "patchTag", 1},
		"a name of Samsara's Python SDK":      {[]string{"get_safety_events_v2_stream"}, "getSafetyEventsV2Stream", 1},
		"a former name":                       {[]string{"ListSafetyEventsFeed"}, "getSafetyEventsV2Stream", 1},
		"a former name without V1":            {[]string{"ListAssetCurrentLocations"}, "V1getAllAssetCurrentLocations", 1},
		"a former twin":                       {[]string{"StreamSafetyEventsFeed"}, "getSafetyEventsV2Stream", 1},
		"an id before a former twin":          {[]string{"streamWorkOrders"}, "streamWorkOrders", 2},
		"a former follower":                   {[]string{"FollowVehicleStats"}, "getVehicleStatsFeed", 1},
		"a former twin of an id that streams": {[]string{"StreamWorkOrdersStream"}, "streamWorkOrders", 1},
		"an area and a name":                  {[]string{"tags.GetTag"}, "getTag", 1},
		"an area and a twin":                  {[]string{"tags.StreamTags"}, "listTags", 1},
		"a wished twin":                       {[]string{"StreamVehicleStatsStream"}, "getVehicleStatsFeed", 1},
		"a wished follower":                   {[]string{"FollowSafetyEventsFeed"}, "getSafetyEventsV2Stream", 1},
		"a wished list":                       {[]string{"ListWorkOrdersStream"}, "streamWorkOrders", 1},
		"a full name of another surface":      {[]string{"of.another.v1beta1.Old_Service/UpdateTag"}, "patchTag", 1},
		"words of an id":                      {[]string{"safety", "events", "v2", "batch"}, "patchSafetyEventsV2Batch", 1},
		"words of an id as one":               {[]string{"safety events v2 batch"}, "patchSafetyEventsV2Batch", 1},
		"a path with an id":                   {[]string{"/tags/123"}, "deleteTag", 4},
		"a path with an id and its method":    {[]string{"PATCH /fleet/vehicles/123"}, "updateVehicle", 1},
		"the two as words":                    {[]string{"patch", "/fleet/vehicles/123"}, "updateVehicle", 1},
		"a URL":                               {[]string{"https://api.samsara.com/fleet/vehicles/123?x=1"}, "getVehicle", 2},
		"a literal path before one of ids":    {[]string{"GET /fleet/vehicles/stats"}, "getVehicleStats", 3},
		"a template":                          {[]string{"DELETE /tags/{id}"}, "deleteTag", 1},
		"a scope":                             {[]string{"write tags"}, "createTag", 4},
		"a stage and a word":                  {[]string{"legacy", "dvir", "history"}, "getDvirDefects", 2},
		"deprecated":                          {[]string{"deprecated", "DELETE"}, "deleteRidershipAccount", 1},
		"the exact name before those longer":  {[]string{"listTags"}, "listTags", 2},
		"what begins with it before the rest": {
			[]string{"getVehicle"}, "getVehicle", 13,
		},
		"nothing":           {[]string{"no such thing"}, "", 0},
		"no word in common": {[]string{"patchTag", "beta"}, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := ids(c.Search(test.words))
			first := ""
			if len(found) > 0 {
				first = found[0]
			}
			if first != test.first || len(found) != test.count {
				t.Errorf("%q finds %d, first %q: %v\nwant %d, first %q", test.words, len(found), first, found[:min(9, len(found))], test.count, test.first)
			}
		})
	}
}

// TestSearch_everyName finds each method first by each of its names, and explain resolves them alike.
func TestSearch_everyName(t *testing.T) {
	t.Parallel()
	endpoints := load(t)
	c := catalog.New(endpoints)
	for _, e := range endpoints {
		full := strings.TrimPrefix(e.FullMethod, "/")
		id := e.Operation.GetId()
		for _, name := range []string{full, e.FullMethod, strings.ReplaceAll(full, "/", "."), id, e.HTTPMethod + " " + e.Operation.GetPath()} {
			if found := c.Search([]string{name}); len(found) == 0 || found[0].Operation.GetId() != id {
				t.Errorf("search for %q finds %v, want %s first", name, ids(found), id)
			}
			if m, err := c.Resolve(name); err != nil || m.Endpoint != e || m.Stream != nil {
				t.Errorf("%q resolves to %v, %v, want %s", name, m.Endpoint, err, full)
			}
		}
		for _, s := range e.Streams {
			if m, err := c.Resolve(s.FullMethod); err != nil || m.Stream != s {
				t.Errorf("%q resolves to %v, %v", s.FullMethod, m.Stream, err)
			}
		}
	}
}

func TestNotFound_similarNames(t *testing.T) {
	t.Parallel()
	c := catalog.New(load(t))
	for name, test := range map[string]struct {
		words []string
		want  string
	}{
		"misspelt":        {[]string{"tags", "lstTags"}, `no method has "lstTags"; similar: listTags`},
		"a misspelt path": {[]string{"/fleet/vehicels"}, `no method has "/fleet/vehicels"; similar: /fleet/vehicles`},
		"nothing similar": {[]string{"xylophone"}, `no method has "xylophone"`},
		"not together":    {[]string{"patchTag", "vehicle"}, "no method has all of these words, though each of them is found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := c.NotFound(test.words).Error(); !strings.HasPrefix(got, test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestResolve_everyForm(t *testing.T) {
	t.Parallel()
	c := catalog.New(load(t))
	for name, id := range map[string]string{
		"listTags":                 "listTags",
		"patch_tag":                "patchTag",
		"UpdateTag":                "patchTag",
		"GET /tags":                "listTags",
		"get /tags/7":              "getTag",
		"/me":                      "getOrganizationInfo",
		"https://a.example/me":     "getOrganizationInfo",
		"StreamTags":               "listTags",
		"FollowVehicleStats":       "getVehicleStatsFeed",
		"getAllAssets":             "",
		"V1getAllAssets":           "V1getAllAssets",
		"GET /fleet/vehicles/9":    "getVehicle",
		"GET /fleet/vehicles/{id}": "getVehicle",
		// Parts of a full name, whatever is between them.
		"samsara_gateway.tags.v1.TagsService.GetTag": "getTag",
		"tags.v1.TagsService/GetTag":                 "getTag",
		"TagsService/GetTag":                         "getTag",
		"TagsService.GetTag":                         "getTag",
		"tags.GetTag":                                "getTag",
		"tags/GetTag":                                "getTag",
		"issues.StreamIssues":                        "getIssuesStream",
		"ground_intelligence.StreamIssues":           "listIssues",
		// Former names, and names that follow the rule for others.
		"PatchTag":                              "patchTag",
		"TagsService/PatchTag":                  "patchTag",
		"tags.PatchTag":                         "patchTag",
		"samsara.tags.v1.TagsService/ListTags":  "listTags",
		"another.tags.v2.TagsService/UpdateTag": "patchTag",
		"StreamWorkOrdersStream":                "streamWorkOrders",
		"GetWorkOrdersStream":                   "streamWorkOrders",
		"FollowWorkOrdersStream":                "streamWorkOrders",
		"FollowVehicleStatsFeed":                "getVehicleStatsFeed",
		"StreamSafetyEventsV2":                  "getSafetyEventsV2",
	} {
		if m, err := c.Resolve(name); id != "" && (err != nil || m.Operation.GetId() != id) {
			t.Errorf("%q: %v, want %s", name, err, id)
		}
	}
}

// TestResolve_renamed resolves each method whose name changed, and not only its package, by the full name
// that it had before the surface got its present names, and finds its operation by the method's own name.
func TestResolve_renamed(t *testing.T) {
	t.Parallel()
	c := catalog.New(load(t))
	table, err := os.ReadFile("testdata/renamed.txt")
	if err != nil {
		t.Fatal(err)
	}
	renamed := 0
	for line := range strings.Lines(string(table)) {
		before, now, _ := strings.Cut(strings.TrimSpace(line), " ")
		m, err := c.Resolve(before)
		if err != nil || m.FullName() != now {
			t.Errorf("%s: %v, want %s", before, err, now)
			continue
		}
		own := before[strings.LastIndexByte(before, '/')+1:]
		if found := c.Search([]string{own}); !slices.Contains(found, m.Endpoint) {
			t.Errorf("search for %s finds %v, and not %s", own, ids(found), m.Operation.GetId())
		}
		renamed++
	}
	if renamed != 162 {
		t.Errorf("%d names, want 162", renamed)
	}
}

func TestResolve_severalOrNone(t *testing.T) {
	t.Parallel()
	c := catalog.New(load(t))
	_, err := c.Resolve("/tags/7")
	var several *catalog.AmbiguousError
	if !errors.As(err, &several) {
		t.Fatalf("%v", err)
	}
	want := []string{"GET /tags/{id}", "PUT /tags/{id}", "PATCH /tags/{id}", "DELETE /tags/{id}"}
	if diff := cmp.Diff(want, several.Candidates); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name, want := range map[string]string{
		"lstTags":                           `"lstTags" stands for no method; similar: listTags`,
		"GET /tagz":                         `"GET /tagz" stands for no method; similar: /tags`,
		"GET /tags?limit=1":                 `"GET /tags?limit=1" stands for no method`,
		"nonsense/UpdateTag":                `"nonsense/UpdateTag" stands for no method; similar: UpdateTag`,
		"TagsService/ListDrivers":           `"TagsService/ListDrivers" stands for no method; similar: listDrivers`,
		"a.v1.TagsService/NoSuchThingAtAll": `"a.v1.TagsService/NoSuchThingAtAll" stands for no method`,
		"":                                  `"" stands for no method`,
	} {
		if _, err := c.Resolve(name); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %q", name, err, want)
		}
	}
}
