package words

import "testing"

func TestClause_verbs(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		rpc   string
		pages bool
		want  string
	}{
		// Each verb.
		{"AcceptAssetSharingAgreement", false, "accepts an asset sharing agreement"},
		{"ArchiveQualificationRecord", false, "archives a qualification record"},
		{"CancelSharedAssetsBatch", false, "cancels a batch of shared assets"},
		{"CreateDriverQrCode", false, "creates a driver QR code"},
		{"DeleteDispatchRouteById", false, "deletes a dispatch route by ID"},
		{"DeployFunction", false, "deploys a function"},
		{"FetchRoute", false, "gets a route"},
		{"FetchRoutes", true, "lists routes"},
		{"GenerateDocumentPdf", false, "generates a document PDF"},
		{"GetTag", false, "gets a tag"},
		{"ListTags", true, "lists tags"},
		{"LockVehicle", false, "locks a vehicle"},
		{"MarkAssetMissing", false, "marks an asset missing"},
		{"PairGateways", false, "pairs gateways"},
		{"PatchTag", false, "updates a tag"},
		{"PostTag", false, "creates a tag"},
		{"PreviewPairGateways", false, "previews what PairGateways does"},
		{"PutDriverCoachAssignment", false, "replaces a driver coach assignment"},
		{"RecoverAsset", false, "recovers an asset"},
		{"RejectAssetSharingAgreement", false, "rejects an asset sharing agreement"},
		{"ReplaceTag", false, "replaces a tag"},
		{"ResolveAssignmentByDetails", false, "resolves an assignment by details"},
		{"SetCurrentDutyStatus", false, "sets the current duty status"},
		{"StartFunctionRun", false, "starts a function run"},
		{"UnarchiveQualificationRecord", false, "unarchives a qualification record"},
		{"UnassignAssetAssignment", false, "unassigns an asset assignment"},
		{"UnlockVehicle", false, "unlocks a vehicle"},
		{"UpdateTag", false, "updates a tag"},
		{"CreatePhotoUploadComplete", false, "completes a photo upload"},
		// A verb that no name has yet.
		{"ApplyRule", false, "applies a rule"},
		{"DispatchOrder", false, "dispatches an order"},
		{"DestroyKey", false, "destroys a key"},
		{"Sync", true, "syncs"},
		// What pages lists, under its name before and after its verb becomes List.
		{"GetHosClocks", true, "lists HOS clocks"},
		{"ListHosClocks", true, "lists HOS clocks"},
		{"GetIssuesStream", true, "lists issues"},
		{"GetAempEquipmentList", true, "lists AEMP equipment"},
		{"ListDriverCoachAssignment", true, "lists driver coach assignments"},
		{"ListUploadedMedia", true, "lists uploaded media"},
		{"GetSafetyEventsV2Stream", true, "lists safety events"},
		{"ListSafetyEventsFeed", true, "lists the feed of safety events"},
		{"GetDvirHistory", true, "lists the history of DVIRs"},
		{"GetDataInputDataSnapshot", true, "lists a snapshot of data input data"},
		{"ListAttributesByEntityType", true, "lists attributes by entity type"},
		// Articles.
		{"GetIssues", false, "gets issues"},
		{"GetAllAssets", false, "gets all assets"},
		{"GetEquipment", false, "gets equipment"},
		{"GetSensorsHumidity", false, "gets sensors humidity"},
		{"GetUser", false, "gets a user"},
		{"GetUpcomingTask", false, "gets an upcoming task"},
		{"GetIftaDetailJob", false, "gets an IFTA detail job"},
		{"GetDvir", false, "gets a DVIR"},
		{"GetAddress", false, "gets an address"},
		{"GetBusiness", false, "gets a business"},
	} {
		if got := Clause(test.rpc, test.pages); got != test.want {
			t.Errorf("Clause(%s, %t) = %q, want %q", test.rpc, test.pages, got, test.want)
		}
	}
}

func TestListed_plurals(t *testing.T) {
	t.Parallel()
	for rpc, want := range map[string]string{
		"ListTags": "tags", "GetTag": "tags", "GetDriverCategory": "driver categories", "GetVertex": "vertices", "ListWorkOrdersFeed": "the feed of work orders",
		"GetDutyStatus": "duty statuses", "GetEquipment": "equipment", "ListDvirs": "DVIRs", "Sync": "records",
	} {
		if got := Listed(rpc); got != want {
			t.Errorf("Listed(%s) = %q, want %q", rpc, got, want)
		}
	}
}

func TestNoun_one(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Tag": "a tag", "VehicleTiny": "a vehicle", "VehicleObject": "a vehicle", "Tiny": "a tiny", "V1Message": "a message", "HosDailyLogs": "HOS daily logs",
		"AuthTokenForDriver": "an auth token for driver", "RouteFeed": "the feed of routes",
	} {
		n := NounOf(Split(name))
		if got := n.One(); got != want {
			t.Errorf("One of %s = %q, want %q", name, got, want)
		}
		if got := n.IsWhole(); got != (name != "RouteFeed") {
			t.Errorf("%s is whole: %t", name, got)
		}
	}
}
