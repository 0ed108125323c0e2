package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	assetsv1 "samsara.internal/gateway/gen/assets/v1"
	contactsv1 "samsara.internal/gateway/gen/contacts/v1"
	tagsv1 "samsara.internal/gateway/gen/tags/v1"
	vehiclestatsv1 "samsara.internal/gateway/gen/vehicle_stats/v1"
	vehiclesv1 "samsara.internal/gateway/gen/vehicles/v1"
)

// Samsara has answered POST /assets in both forms. A create cannot be repeated, so its answer is all that a
// caller learns about the asset.
func TestCreateAsset_wrappedOrBare(t *testing.T) {
	t.Parallel()
	const asset = `{"id": "281474990000001", "type": "vehicle", "name": "Truck 7", "createdAtTime": "2026-01-02T03:04:05Z"}`
	for name, test := range map[string]struct {
		body  string
		args  []string
		drift []string
	}{
		"wrapped":                     {body: `{"data": ` + asset + `}`},
		"bare":                        {body: asset, drift: []string{"CreateAssetResponse.*=wrapped"}},
		"bare, of an earlier version": {body: asset, args: []string{"--api-version=2024-11-18"}, drift: []string{"CreateAssetResponse.*=wrapped"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, _ := connectBefore(t, answerWith(http.StatusOK, test.body), test.args...)
			client := assetsv1.NewAssetsServiceClient(conn)
			var trailer metadata.MD
			got, err := client.CreateAsset(t.Context(), &assetsv1.CreateAssetRequest{Name: proto.String("Truck 7"), Type: proto.String("vehicle")}, grpc.Trailer(&trailer))
			if err != nil {
				t.Fatal(err)
			}
			want := new(assetsv1.CreateAssetResponse)
			if err := prototext.Unmarshal([]byte(`data {id: "281474990000001" type: "vehicle" name: "Truck 7" created_at_time: "2026-01-02T03:04:05Z"}`), want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
				t.Errorf("reply (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.drift, trailer.Get("samsara-drift")); diff != "" {
				t.Errorf("samsara-drift (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAnswer_inAnotherForm checks that an answer is read in every form: wrapped or bare, a list with or
// without the object around it, a member under another name.
func TestAnswer_inAnotherForm(t *testing.T) {
	t.Parallel()
	const (
		createAsset    = "samsara_gateway.assets.v1.AssetsService/CreateAsset"
		createWebhook  = "samsara_gateway.webhooks.v1.WebhooksService/CreateWebhooks"
		listTags       = "samsara_gateway.tags.v1.TagsService/ListTags"
		assignTraining = "samsara_gateway.training_assignments.v1.TrainingAssignmentsService/CreateTrainingAssignments"
		training       = `{"courseId": "c", "dueAtTime": "2026-01-02T03:04:05Z", "learnerIds": ["driver-1"]}`
		replaceAssets  = "samsara_gateway.maintenance.v1.MaintenanceService/ReplaceWarrantyAssetAssignments"
		listPrograms   = "samsara_gateway.legacy.v1.LegacyService/GetVisionProgramsByCamera"
		listClocks     = "samsara_gateway.hours_of_service.v1.HoursOfServiceService/ListHosClocks"
		createDvir     = "samsara_gateway.maintenance.v1.MaintenanceService/CreateDvir"
	)
	for name, test := range map[string]answered{
		"null for data, wrapped by the document": {
			method: createAsset, request: `{"type": "vehicle"}`,
			answer: `{"data": null, "id": "1", "name": "Truck 7"}`, want: `{"data": {"id": "1", "name": "Truck 7"}}`,
			drift: "CreateAssetResponse.*=wrapped, Asset.data=unknown",
		},
		"null before data, wrapped by the document": {
			method: createAsset, request: `{"type": "vehicle"}`,
			answer: `{"id": null, "data": {"id": "1"}}`, want: `{"data": {"id": "1"}}`,
			drift: "CreateAssetResponse.id=unknown",
		},
		"null for data, bare by the document": {
			method: createWebhook, request: `{"name": "w", "url": "https://w.test"}`,
			answer: `{"data": null, "id": "1", "name": "w"}`, want: `{"id": "1", "name": "w"}`,
			drift: "CreateWebhooksResponse.data=unknown",
		},
		"null before data, bare by the document": {
			method: createWebhook, request: `{"name": "w", "url": "https://w.test"}`,
			answer: `{"id": null, "data": {"id": "1", "name": "w"}}`, want: `{"id": "1", "name": "w"}`,
			drift: "CreateWebhooksResponse.*=wrapped",
		},
		"null after data, bare by the document": {
			method: createWebhook, request: `{"name": "w", "url": "https://w.test"}`,
			answer: `{"data": {"id": "1", "name": "w"}, "secretKey": null}`, want: `{"id": "1", "name": "w"}`,
			drift: "CreateWebhooksResponse.*=wrapped",
		},
		"data with only unknown members, beside known ones": {
			method: createAsset, request: `{"type": "vehicle"}`,
			answer: `{"data": {"status": "done"}, "id": "1"}`, want: `{"data": {"id": "1"}}`,
			drift: "CreateAssetResponse.*=wrapped, Asset.data=unknown",
		},
		"a page as a list": {
			method: listTags, request: `{}`,
			answer: `[{"id": "1", "name": "one"}, {"id": "2", "zzz": 1}]`, want: `{"data": [{"id": "1", "name": "one"}, {"id": "2"}]}`,
			drift: "ListTagsResponse.*=wrapped, Tag.zzz=unknown",
		},
		"a page as an empty list": {method: listTags, request: `{}`, answer: `[]`, want: `{}`, drift: "ListTagsResponse.*=wrapped"},
		"a page in data": {
			method: listTags, request: `{}`,
			answer: `{"data": {"data": [{"id": "1"}], "pagination": {"endCursor": "", "hasNextPage": false}}}`,
			want:   `{"data": [{"id": "1"}], "pagination": {"endCursor": "", "hasNextPage": false}}`,
			drift:  "ListTagsResponse.*=wrapped",
		},
		"a page with records of only unknown members": {
			method: listTags, request: `{}`,
			answer: `{"data": [{"zzz": 1}, {"id": "2"}]}`, want: `{"data": [{}, {"id": "2"}]}`, drift: "Tag.zzz=unknown",
		},
		"the answer to a write as a list": {
			method: assignTraining, request: training,
			answer: `[{"id": "1"}]`, want: `{"data": [{"id": "1"}]}`, drift: "CreateTrainingAssignmentsResponse.*=wrapped",
		},
		"a list in one of the two objects around it": {
			method: replaceAssets, request: `{}`,
			answer: `{"data": [{"assetId": "1"}]}`, want: `{"data": {"data": [{"assetId": "1"}]}}`,
			drift: "ReplaceWarrantyAssetAssignmentsResponse.*=wrapped",
		},
		"a list with an object around it": {
			method: listPrograms, request: `{"camera_id": "5"}`,
			answer: `{"data": [{"programId": 7, "programName": "p"}]}`, want: `{"programs": [{"programId": "7", "programName": "p"}]}`,
			drift: "GetVisionProgramsByCameraResponse.*=wrapped",
		},
		"a member under another name": {
			method: listClocks, request: `{}`,
			answer: `{"data": [{"currentVehicle": {"ExternalIds": {"a": "b"}, "id": "1"}}, {"currentVehicle": {"externalIds": {"a": "b"}}}, {"currentVehicle": {"externalIds": {"a": "b"}, "ExternalIds": {"c": "d"}}}]}`,
			want:   `{"data": [{"currentVehicle": {"externalIds": {"a": "b"}, "id": "1"}}, {"currentVehicle": {"externalIds": {"a": "b"}}}, {"currentVehicle": {"externalIds": {"a": "b"}}}]}`,
			drift:  "VehicleTiny.externalIds=duplicate",
		},
		"a member under the name that its like have": {
			method: createDvir, request: `{"type": "mechanic", "authorId": "1", "safetyStatus": "safe"}`,
			answer: `{"data": {"trailerDefects": [{"vehicle": {"externalIds": {"a": "b"}}}, {"vehicle": {"ExternalIds": {"c": "d"}}}], "vehicle": {"ExternalIds": {"e": "f"}}}}`,
			want:   `{"data": {"trailerDefects": [{"vehicle": {"ExternalIds": {"a": "b"}}}, {"vehicle": {"ExternalIds": {"c": "d"}}}], "vehicle": {"externalIds": {"e": "f"}}}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.check(t)
		})
	}
}

// The pages of a stream must say how it goes on, which a bare list does not.
func TestStream_bareList(t *testing.T) {
	t.Parallel()
	client, _ := startTags(t, answerWith(http.StatusOK, `[{"id": "1"}]`), "--quota=false")
	stream, err := client.StreamTags(waiting(t), &tagsv1.StreamTagsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	if v := verdictOf(err); v.code != codes.Internal || v.reason != "UPSTREAM_PAGINATION_INVALID" {
		t.Errorf("got %v, want Internal/UPSTREAM_PAGINATION_INVALID", v)
	}
}

// The drift of records that are not sent, because the client wants no more, is not reported.
func TestStream_driftOfRecordsSent(t *testing.T) {
	t.Parallel()
	const page = `{"data": [null, {"id": "1", "zzz": 1}, {"id": "2", "zzz": 1, "yyy": [1]}, 5, {"id": "3", "zzz": 1, "name": 7}], "pagination": {"endCursor": "c", "hasNextPage": %s, "xxx": 1}}`
	for name, test := range map[string]struct {
		items int32
		drift string
	}{
		"one of three": {1, "ListVehiclesResponse.data=null_entry, VehicleObject.zzz=unknown, Pagination.xxx=unknown"},
		"two of three": {2, "ListVehiclesResponse.data=null_entry, VehicleObject.zzz=unknown;n=2, VehicleObject.yyy=unknown, Pagination.xxx=unknown"},
		"all":          {3, "ListVehiclesResponse.data=null_entry, VehicleObject.zzz=unknown;n=3, VehicleObject.yyy=unknown, ListVehiclesResponse.data=mismatch, VehicleObject.name=coerced, Pagination.xxx=unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, _ := connectBefore(t, answerWith(http.StatusOK, fmt.Sprintf(page, "true")), "--quota=false")
			stream := streamVehicles(waiting(t), t, conn, 5, "", &apiv1.StreamOptions{MaxItems: proto.Int32(test.items)})
			var err error
			got := 0
			for err == nil {
				var m *vehiclesv1.StreamVehiclesResponse
				m, err = stream.Recv()
				got += len(m.GetPage().GetData())
			}
			if !errors.Is(err, io.EOF) || got != int(test.items) {
				t.Fatalf("%d records and then %v, want %d and the end", got, err, test.items)
			}
			if diff := cmp.Diff([]string{test.drift}, stream.Trailer().Get("samsara-drift")); diff != "" {
				t.Errorf("samsara-drift (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("a feed that others follow too", func(t *testing.T) {
		t.Parallel()
		body := strings.ReplaceAll(fmt.Sprintf(page, "false"), `"name": 7`, `"name": "n"`)
		conn, _ := connectBefore(t, answerWith(http.StatusOK, body), "--quota=false")
		for items := int32(1); items <= 2; items++ {
			stream, err := vehiclestatsv1.NewVehicleStatsServiceClient(conn).FollowVehicleStats(waiting(t), &vehiclestatsv1.FollowVehicleStatsRequest{
				Request: &vehiclestatsv1.ListVehicleStatsFeedRequest{Types: []string{"gps"}},
				Options: &apiv1.FollowOptions{MaxItems: &items},
			})
			for err == nil {
				_, err = stream.Recv()
			}
			if !errors.Is(err, io.EOF) {
				t.Fatalf("the stream ended with %v, want OK", err)
			}
			for _, drift := range stream.Trailer().Get("samsara-drift") {
				if want := fmt.Sprintf(".zzz=unknown;n=%d,", items); !strings.Contains(strings.Replace(drift, "zzz=unknown,", "zzz=unknown;n=1,", 1), want) {
					t.Errorf("samsara-drift is %q, want %s", drift, want)
				}
			}
			if n := len(stream.Trailer().Get("samsara-drift")); n != 1 {
				t.Errorf("the trailer has samsara-drift %d times, want 1", n)
			}
		}
	})
}

func TestUpdateMask_namesOfEitherForm(t *testing.T) {
	t.Parallel()
	conn, _ := connectBefore(t, answerWith(http.StatusOK, `{"data": {"id": "1"}}`))
	client := contactsv1.NewContactsServiceClient(conn)
	for path, want := range map[string]string{
		"first_name": "",
		"firstName":  "",
		"fistName":   `update_mask: "fistName" does not name a field of the body: there is no "fistName", but "first_name"`,
	} {
		_, err := client.UpdateContact(t.Context(), &contactsv1.UpdateContactRequest{
			Id: proto.String("1"), FirstName: proto.String("Ada"),
			UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{path}},
		})
		switch s := status.Convert(err); {
		case want == "" && err != nil:
			t.Errorf("%s: %v", path, err)
		case want != "" && (s.Code() != codes.InvalidArgument || s.Message() != want):
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}
