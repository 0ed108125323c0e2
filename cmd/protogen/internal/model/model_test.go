package model

import (
	"testing"

	"samsara.internal/gateway/cmd/protogen/internal/document"
	apiv1 "samsara.internal/gateway/gen/api/v1"
)

func operationAt(path, tag string) *document.Operation {
	return &document.Operation{Path: path, Tags: []string{tag}}
}

func TestAreas_packageOf(t *testing.T) {
	t.Parallel()
	stable := newAreas([]*document.Operation{
		operationAt("/hubs", "Hubs"),
		operationAt("/hub/capacities", "Hubs"),
		operationAt("/hub/skills", "Hubs"),
		operationAt("/hub/plans", "Plans"),
		operationAt("/fleet/hos/logs", "Hours of Service"),
		operationAt("/fleet/reports/a", "Ifta"),
		operationAt("/fleet/reports/b", "Fuel and Energy"),
		operationAt("/fleet/drivers", "Drivers"),
		operationAt("/drivers/vehicle-assignments", "Assignments"),
		operationAt("/beta/probes", "Beta APIs"),
		operationAt("/v1/fleet/gauges", "Gauges"),
	})
	for _, test := range []struct {
		path, tag, want string
		stage           apiv1.Stage
	}{
		{"/fleet/vehicles", "Vehicles", "samsara_gateway.vehicles.v1", apiv1.Stage_STAGE_STABLE},
		{"/fleet/driver-vehicle-assignments", "Driver-Vehicle Assignments", "samsara_gateway.driver_vehicle_assignments.v1", apiv1.Stage_STAGE_STABLE},
		{"/training-assignments", "TrainingAssignments", "samsara_gateway.training_assignments.v1", apiv1.Stage_STAGE_STABLE},
		{"/fleet/drivers/tachograph-files/history", "Tachograph (EU Only)", "samsara_gateway.tachograph.v1", apiv1.Stage_STAGE_STABLE},
		{"/v1/fleet/assets", "Assets", "samsara_gateway.legacy.v1", apiv1.Stage_STAGE_LEGACY},
		{"/fleet/assets", "Legacy", "samsara_gateway.legacy.v1", apiv1.Stage_STAGE_LEGACY},
		{"/fleet/safety-events", "Legacy APIs", "samsara_gateway.legacy.v1", apiv1.Stage_STAGE_LEGACY},
		{"/fleet/asset-sharing/agreements", "Beta APIs", "samsara_gateway.asset_sharing.v1", apiv1.Stage_STAGE_BETA},
		{"/beta/aemp/Fleet/{pageNumber}", "Aemp", "samsara_gateway.aemp.v1", apiv1.Stage_STAGE_BETA},
		{"/preview/fleet/orders", "Preview APIs", "samsara_gateway.orders.v1", apiv1.Stage_STAGE_PREVIEW},
		{"/preview/form-templates", "Training", "samsara_gateway.form_templates.v1", apiv1.Stage_STAGE_PREVIEW},
		// The area of a stable one that is named so, or has most operations there.
		{"/beta/fleet/drivers/efficiency", "Fleets", "samsara_gateway.drivers.v1", apiv1.Stage_STAGE_BETA},
		{"/hub/plan/orders", "Beta APIs", "samsara_gateway.hubs.v1", apiv1.Stage_STAGE_BETA},
		{"/preview/hos/clocks", "Preview APIs", "samsara_gateway.hours_of_service.v1", apiv1.Stage_STAGE_PREVIEW},
		{"/fleet/reports/c", "Beta APIs", "samsara_gateway.reports.v1", apiv1.Stage_STAGE_BETA},
		{"/probes", "Beta APIs", "samsara_gateway.probes.v1", apiv1.Stage_STAGE_BETA},
		{"/gauges", "Beta APIs", "samsara_gateway.gauges.v1", apiv1.Stage_STAGE_BETA},
	} {
		op := operationAt(test.path, test.tag)
		got, err := stable.packageOf(op)
		if err != nil || got.String() != test.want || stageOf(op) != test.stage {
			t.Errorf("%s of %q is in %s, %s, %v; want %s, %s", test.path, test.tag, got, stageOf(op), err, test.want, test.stage)
		}
	}
	for _, op := range []*document.Operation{
		{Path: "/beta/fleet/{id}"}, {Path: "/"}, operationAt("/x", "API"), operationAt("/x", "Events"), operationAt("/x", "Types"), operationAt("/events", "Beta APIs"),
	} {
		if got, err := stable.packageOf(op); err == nil {
			t.Errorf("%s of %q is in %s, want an error", op.Path, op.Tags, got)
		}
	}
}
