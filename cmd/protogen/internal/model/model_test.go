package model

import "testing"

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
