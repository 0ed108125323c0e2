package main

import (
	"net/http"
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

	assetsv1 "samsara.internal/gateway/gen/assets/v1"
	contactsv1 "samsara.internal/gateway/gen/contacts/v1"
)

// Samsara has answered POST /assets both ways, and a create cannot be repeated: what it answers is
// all that a caller learns of the asset.
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
