package surface

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/cmd/protogen/internal/model"
	"samsara.internal/gateway/cmd/protogen/internal/words"
	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// testNames knows the operations whose names begin names of schemas in the tests.
func testNames() names {
	return names{operations: [][]string{
		{"create", "Purchase", "Order"}, {"list", "Purchase", "Orders"}, {"list", "Purchase"}, {"list", "Warranties"},
	}}
}

func TestPlain_withoutDebris(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"Vehicle":                                                                    "Vehicle",
		"VehicleResponseObjectResponseBody":                                          "Vehicle",
		"sensorResponseBody":                                                         "Sensor",
		"GoaTagTinyResponseResponseBody":                                             "TagTiny",
		"IdlingEventObject_V2025_10_23ResponseBody":                                  "IdlingEvent",
		"GoaPaginationWithTokensResponseResponseBody":                                "Pagination",
		"ListHubPlansResponsePaginationResponseBody":                                 "Pagination",
		"PatchJobObjectjobLocationRequestObjectRequestBody":                          "JobLocation",
		"TrainingObjectiveResponseBody":                                              "TrainingObjective",
		"PostResponseResWorkflowConfigurationObjectResponseBody":                     "WorkflowConfiguration",
		"getDocumentTypeResponseObjectResponseBody":                                  "DocumentType",
		"SignedUrlOfTypeResponseBody":                                                "SignedUrlOfType",
		"ReasonBodyRequestBody":                                                      "Reason",
		"MoneyInputRequestBody":                                                      "Money",
		"FieldInputObjectResponseBody":                                               "FieldInput",
		"InputRequestBody":                                                           "Input",
		"CreatePurchaseOrderEntityPurchaseOrderMoneyTypeResponseBody":                "PurchaseOrderMoney",
		"CreatePurchaseOrderEntityPurchaseOrderMoneyInputTypeRequestBody":            "PurchaseOrderMoney",
		"EntityListPurchaseOrdersVendorRefPublicVariant07Ae4B76C2BaTypeResponseBody": "VendorRef",
		"EntityListWarrantiesTypeResponseBody":                                       "Warranty",
		"EntityPurchaseOrdersServiceListPurchaseOrdersResponseBody.total":            "Total",
	} {
		if got := testNames().plain(key); got != want {
			t.Errorf("plain(%q) = %q, want %q", key, got, want)
		}
	}
}

func TestCandidates_tellSchemasApart(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name           string
		keys           []string
		input, element bool
		want           []string
	}{
		{name: "a name without debris", keys: []string{"Vehicle"}, want: []string{"Vehicle"}},
		{name: "a framework's name is no help", keys: []string{"GoaTagTinyResponseResponseBody"}, want: []string{"TagTiny"}},
		{name: "Object", keys: []string{"VehicleResponseObjectResponseBody"}, want: []string{"Vehicle", "VehicleObject", "VehicleResponseObject"}},
		{name: "Type", keys: []string{"AlarmTypeResponseBody"}, want: []string{"Alarm", "AlarmType"}},
		{name: "a version", keys: []string{"IdlingEvent_V2025_10_23ResponseBody"}, want: []string{"IdlingEvent", "IdlingEventV20251023"}},
		{name: "a verb, but first that it is sent", keys: []string{"PostJobObjectRequestBody"}, input: true, want: []string{"Job", "JobInput", "PostJob", "JobObject", "PostJobInput", "JobObjectInput"}},
		{name: "what is named Input is one", keys: []string{"MoneyInputRequestBody"}, input: true, want: []string{"MoneyInput"}},
		{name: "Input is dropped if it is received too", keys: []string{"MoneyInputRequestBody", "MoneyResponseBody"}, want: []string{"Money", "MoneyInput"}},
		{name: "an operation, but no hash", keys: []string{"EntityListPurchaseOrdersVendorRefPublicVariant07Ae4B76C2BaTypeResponseBody"}, want: []string{"VendorRef", "VendorRefType", "PurchaseOrdersVendorRef", "ListPurchaseOrdersVendorRef"}},
		{name: "a property", keys: []string{"V1AssetReeferResponse_reeferStats"}, want: []string{"AssetReeferStats", "V1AssetReeferStats", "V1AssetReeferResponseReeferStats"}},
		{name: "an element is in the singular", keys: []string{"CreateUserRequest_roles"}, element: true, want: []string{"UserRole", "CreateUserRole", "UserRequestRole"}},
		{name: "an element of a named list is not", keys: []string{"Users"}, element: true, want: []string{"Users"}},
		{name: "the element of a component", keys: []string{"V1Cameras[]"}, element: true, want: []string{"Camera", "V1Camera"}},
		{name: "deep inside", keys: []string{"Report.rows[].cells{}.value"}, want: []string{"ReportRowCellValue"}},
		{name: "a path", keys: []string{"GET /things/{id}/places response[]"}, element: true, want: []string{"ThingsIdPlace"}},
		{name: "nothing but debris", keys: []string{"Response"}, want: []string{"Schema"}},
		{name: "a number that tells two of one name apart", keys: []string{"V1Thing_alarms_1"}, element: true, want: []string{"ThingAlarms", "ThingAlarms1", "V1ThingAlarms", "V1ThingAlarms1"}},
		{name: "a number", keys: []string{"200"}, want: []string{"Schema200"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			u := unnamed{message: &message{schemas: test.keys}, input: test.input, element: test.element}
			if diff := cmp.Diff(test.want, testNames().candidates(u)); diff != "" {
				t.Errorf("candidates of %q (-want +got):\n%s", test.keys, diff)
			}
		})
	}
}

func TestNameMessages_conflicts(t *testing.T) {
	t.Parallel()
	of := func(input bool, uses int, keys ...string) unnamed {
		u := unnamed{message: &message{schemas: keys}, input: input, uses: uses}
		u.candidates = testNames().candidates(u)
		return u
	}
	tests := []struct {
		name  string
		group []unnamed
		want  []string // in the order of the group
	}{
		{"a response's form goes before a request's", []unnamed{of(true, 9, "JobRequestBody"), of(false, 1, "JobObjectResponseBody")}, []string{"JobInput", "Job"}},
		{"the one used most goes before others", []unnamed{of(false, 1, "GetJobResponseBody"), of(false, 2, "JobObjectResponseBody")}, []string{"GetJob", "Job"}},
		{"the shorter schema name decides then", []unnamed{of(false, 1, "PatchJobResponseBody"), of(false, 1, "GetJobResponseBody")}, []string{"PatchJob", "Job"}},
		{"what can have no other name goes first of all", []unnamed{of(false, 9, "JobObjectResponseBody"), of(false, 1, "JobResponseBody")}, []string{"JobObject", "Job"}},
		{"a name that does not tell apart is given to neither", []unnamed{of(false, 1, "Job"), of(true, 1, "PostJobRequestBody"), of(true, 1, "PatchJobRequestBody")}, []string{"Job", "PostJob", "PatchJob"}},
		{"a number is the last resort", []unnamed{of(false, 1, "jobResponseBody"), of(false, 2, "Job")}, []string{"Job2", "Job"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := &pkg{Package: model.Package{Area: "jobs"}}
			sorted := slices.Clone(test.group)
			slices.SortFunc(sorted, compareClaims)
			for _, u := range sorted {
				p.messages = append(p.messages, u.message)
			}
			for _, left := range p.nameMessages(sorted) {
				p.number(left)
			}
			var got []string
			for _, u := range test.group {
				got = append(got, u.name)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRPCNames_rules(t *testing.T) {
	t.Parallel()
	const get, post, patch, put, remove = "GET", "POST", "PATCH", "PUT", "DELETE"
	for _, test := range []struct {
		name, id, method, path string
		pages, feed, reads     bool
		want                   []string
	}{
		{name: "what pages is listed", id: "getTrips", method: get, pages: true, want: []string{"ListTrips"}},
		{name: "and so is what is fetched", id: "fetchTrips", method: get, pages: true, want: []string{"ListTrips"}},
		{name: "what does not is got", id: "listTrips", method: get, want: []string{"GetTrips"}},
		{name: "all is said by List", id: "V1getAllTrips", method: get, pages: true, want: []string{"ListTrips", "V1GetAllTrips"}},
		{name: "but not by Get", id: "V1getAllTrips", method: get, want: []string{"GetAllTrips", "V1GetAllTrips"}},
		{name: "a word that begins with all", id: "getAllocations", method: get, pages: true, want: []string{"ListAllocations"}},
		{name: "what is streamed", id: "streamTrips", method: get, pages: true, want: []string{"ListTrips"}},
		{name: "no verb, but a word that begins with one", id: "streamlineTrips", method: get, want: []string{"StreamlineTrips"}},
		{name: "a feed", id: "streamTrips", method: get, pages: true, feed: true, want: []string{"ListTrips", "ListTripsFeed"}},
		{name: "a feed that says so", id: "getTripsFeed", method: get, pages: true, feed: true, want: []string{"ListTripsFeed"}},
		{name: "a feed that says stream, and a version", id: "getTripsV2Stream", method: get, pages: true, feed: true, want: []string{"ListTrips", "ListTripsFeed", "ListTripsV2", "ListTripsV2Feed"}},
		{name: "pages in a stream that is no feed", id: "getTripsStream", method: get, pages: true, want: []string{"ListTrips"}},
		{name: "a post", id: "postTrips", method: post, want: []string{"CreateTrips"}},
		{name: "a post that reads", id: "V1getTrips", method: post, reads: true, want: []string{"GetTrips", "V1GetTrips"}},
		{name: "a patch", id: "patch-Trip_Plan", method: patch, want: []string{"UpdateTripPlan"}},
		{name: "a patch of another verb", id: "archiveTrip", method: patch, want: []string{"ArchiveTrip"}},
		{name: "a put", id: "putTrip", method: put, want: []string{"ReplaceTrip"}},
		{name: "a put that updates", id: "updateTrip", method: put, want: []string{"UpdateTrip"}},
		{name: "no verb, but what its path ends in", id: "authToken", method: post, path: "/fleet/auth-token", want: []string{"CreateAuthToken"}},
		{name: "no verb, but what the path of a deletion ends in", id: "authToken", method: remove, path: "/auth-token", want: []string{"DeleteAuthToken"}},
		{name: "a verb alone", id: "get", method: get, want: []string{"Get"}},
		{name: "no letters", id: "-", method: get, want: []string{"Get"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := &apiv1.Operation{
				Id: test.id, Path: test.path, Feed: test.feed, Repeatable: test.reads,
				Method: apiv1.HttpMethod(apiv1.HttpMethod_value["HTTP_METHOD_"+test.method]),
			}
			if test.pages {
				o.Pagination = apiv1.Pagination_PAGINATION_CURSOR
			}
			if diff := cmp.Diff(test.want, rpcNames(o)); diff != "" {
				t.Errorf("rpcNames(%s) (-want +got):\n%s", test.id, diff)
			}
		})
	}
}

// Two schemas of one plain name are one thing if one has all members of the other.
func TestSameThing_nested(t *testing.T) {
	t.Parallel()
	p := &pkg{Package: model.Package{Area: "jobs"}}
	m := merger{forms: &forms{names: testNames(), schemas: map[string]string{}, members: map[string][]string{}}}
	of := func(name, key string, members ...string) *message {
		added := p.add(key)
		added.name = name
		m.forms.schemas[key] = m.forms.form(key, members)
		return added
	}
	driver := of("Driver", "DriverResponseBody", "id", "name")
	for _, test := range []struct {
		name    string
		key     string
		members []string
		want    *message
	}{
		{"fewer members", "driver", []string{"id"}, driver},
		{"more members", "DriverObject", []string{"id", "name", "phone"}, driver},
		{"other members", "DriverResponse", []string{"id", "phone"}, nil},
		{"a name with a verb", "GetDriver", []string{"id"}, driver},
		{"another thing", "Car", []string{"id"}, nil},
	} {
		left := of("", test.key, test.members...)
		if got := m.sameThing(unnamed{message: left, candidates: []string{"Driver"}}); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// Whatever the document names things, the names made of it are identifiers in the case that
// buf lint wants.
func FuzzNames(f *testing.F) {
	for _, seed := range []string{
		"routeStopETA", "DEFRemaining", "9lives", "größe", "a_b", "-", "", "Tag_allOf.externalIds[]{}",
		"CreatePartEntityPartDefinitionMoneyInputTypeRequestBody", "PublicVariant0123456789ab", "GET /a/{b} body.c[]", "日本", "V1V2V3", "aB1c",
	} {
		f.Add(seed)
	}
	field := regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	typeName := regexp.MustCompile(`^[A-Z][A-Za-z0-9]*$`)
	f.Fuzz(func(t *testing.T, name string) {
		if got := words.Identifier(words.Snake(name), "field_"); !field.MatchString(got) || strings.Contains(got, "__") {
			t.Errorf("field name of %q: %q", name, got)
		}
		for _, element := range []bool{false, true} {
			for _, got := range testNames().candidates(unnamed{message: &message{schemas: []string{name}}, input: element, element: element}) {
				if !typeName.MatchString(got) || strings.HasSuffix(got, "Request") || strings.HasSuffix(got, "Response") {
					t.Errorf("message name of %q: %q", name, got)
				}
			}
		}
	})
}
