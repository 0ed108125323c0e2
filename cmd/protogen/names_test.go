package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSnakeKeepsAcronymsTogether(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"routeStopETA":            "route_stop_eta",
		"DEFRemaining":            "def_remaining",
		"EquipmentID":             "equipment_id",
		"OEMName":                 "oem_name",
		"PIN":                     "pin",
		"addressLine1":            "address_line1",
		"j1939D1StatusPoint":      "j1939_d1_status_point",
		"engineOilPressureKPa":    "engine_oil_pressure_k_pa",
		"duty_status":             "duty_status",
		"Driver-Trailer (EU) X/y": "driver_trailer_eu_x_y",
		"größe":                   "gr_e",
		"":                        "",
	} {
		if got := snake(name); got != want {
			t.Errorf("snake(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestDerivedJSONName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"start_ms": "startMs", "pin": "pin", "address_line1": "addressLine1", "a_1_b": "a1B"} {
		if got := derivedJSONName(name); got != want {
			t.Errorf("derivedJSONName(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestSingular(t *testing.T) {
	t.Parallel()
	for plural, want := range map[string]string{
		"vertices": "vertex", "services": "service", "categories": "category", "addresses": "address", "boxes": "box",
		"branches": "branch", "series": "series", "statuses": "status", "address": "address", "status": "status", "data": "data", "s": "s",
	} {
		if got := singular(plural); got != want {
			t.Errorf("singular(%q) = %q, want %q", plural, got, want)
		}
	}
}

func TestRPCNames(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"listVehicles":       "ListVehicles",
		"V1getAllAssets":     "GetAllAssets",
		"streamDefects":      "GetDefectsStream",
		"streamlineThings":   "StreamlineThings",
		"getRouteEvents":     "GetRouteEvents",
		"patch-SafetyEvents": "PatchSafetyEvents",
		"stream":             "Stream",
	} {
		if got := rpcName(id); got != want {
			t.Errorf("rpcName(%q) = %q, want %q", id, got, want)
		}
	}
}

func TestMessageNamesAreFreeOfDebris(t *testing.T) {
	t.Parallel()
	tests := []struct {
		key     string
		element bool
		want    []string
	}{
		{"Vehicle", false, []string{"Vehicle"}},
		{"VehicleResponseObjectResponseBody", false, []string{"Vehicle", "VehicleObject", "VehicleResponseObject"}},
		{"GoaTagTinyResponseResponseBody", false, []string{"TagTiny", "GoaTagTiny"}},
		{"tagTinyResponse", false, []string{"TagTiny"}},
		{"V1AssetReeferResponse_reeferStats", false, []string{"AssetReeferStats", "V1AssetReeferStats", "V1AssetReeferResponseReeferStats"}},
		{"IdlingEventObject_V2025_10_23ResponseBody", false, []string{"IdlingEvent", "IdlingEventV20251023", "IdlingEventObjectV20251023"}},
		{
			"CreatePurchaseOrderEntityPurchaseOrderPurchaseOrderPartInputPublicVariant63E9Febe395ETypeRequestBody", false,
			[]string{"PurchaseOrderPartInput", "CreatePurchaseOrderPartInput", "PurchaseOrderPartInputVariant", "CreatePurchaseOrderPartInputVariant"},
		},
		{"EntityListWarrantiesVendorRefTypeResponseBody", false, []string{"WarrantiesVendorRef", "ListWarrantiesVendorRef"}},
		{"CreateUserRequest_roles", true, []string{"CreateUserRole", "CreateUserRequestRole"}},
		{"Users", true, []string{"Users"}},
		{"V1Cameras[]", true, []string{"Camera", "V1Camera"}},
		{"Report.rows[].cells{}.value", false, []string{"ReportRowCellValue"}},
		{"GET /things/{id}/places response[]", true, []string{"ThingsIdPlace"}},
		{"ResponseObject", false, []string{"Object", "ResponseObject"}},
		{"200", false, []string{"Schema200"}},
		{"Response", false, []string{"Schema"}},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, messageNames(test.key, test.element)); diff != "" {
			t.Errorf("messageNames(%q, %t) (-want +got):\n%s", test.key, test.element, diff)
		}
	}
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ template, tag, want string }{
		{"/fleet/vehicles", "Vehicles", "samsara.vehicles.v1"},
		{"/fleet/driver-vehicle-assignments", "Driver-Vehicle Assignments", "samsara.driver_vehicle_assignments.v1"},
		{"/training-assignments", "TrainingAssignments", "samsara.training_assignments.v1"},
		{"/fleet/drivers/tachograph-files/history", "Tachograph (EU Only)", "samsara.tachograph.v1"},
		{"/v1/fleet/assets", "Assets", "samsara.legacy.v1"},
		{"/fleet/assets", "Legacy", "samsara.legacy.v1"},
		{"/fleet/safety-events", "Legacy APIs", "samsara.legacy.v1"},
		{"/fleet/asset-sharing/agreements", "Beta APIs", "samsara.asset_sharing.v1beta1"},
		{"/hub/plan/orders", "Beta APIs", "samsara.hub.v1beta1"},
		{"/beta/aemp/Fleet/{pageNumber}", "Aemp", "samsara.aemp.v1beta1"},
		{"/beta/fleet/drivers/efficiency", "Fleets", "samsara.drivers.v1beta1"},
		{"/preview/fleet/orders", "Preview APIs", "samsara.orders.v1alpha1"},
		{"/preview/form-templates", "Training", "samsara.form_templates.v1alpha1"},
	} {
		got, err := placeOf(test.template, []string{test.tag})
		if err != nil || got.String() != test.want {
			t.Errorf("placeOf(%q, %q) = %s, %v; want %s", test.template, test.tag, got, err, test.want)
		}
	}
	for _, template := range []string{"/beta/fleet/{id}", "/"} {
		if got, err := placeOf(template, nil); err == nil {
			t.Errorf("placeOf(%q) = %s, want an error", template, got)
		}
	}
}

func TestUnique(t *testing.T) {
	t.Parallel()
	taken := func(name string) bool { return name == "size" || name == "size_v2" }
	if got := unique("size", "_v", taken); got != "size_v3" {
		t.Errorf("unique = %q, want size_v3", got)
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
	message := regexp.MustCompile(`^[A-Z][A-Za-z0-9]*$`)
	f.Fuzz(func(t *testing.T, name string) {
		if got := identifier(snake(name), "field_"); !field.MatchString(got) || strings.Contains(got, "__") {
			t.Errorf("field name of %q: %q", name, got)
		}
		for _, element := range []bool{false, true} {
			for _, got := range messageNames(name, element) {
				if !message.MatchString(got) || strings.HasSuffix(got, "Request") || strings.HasSuffix(got, "Response") {
					t.Errorf("message name of %q: %q", name, got)
				}
			}
		}
	})
}
