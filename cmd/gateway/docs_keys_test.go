package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// The pages that have the tables of keys.
const (
	errorsPage  = root + "/docs/errors.md"
	callingPage = root + "/docs/calling.md"
)

// TestDocs_keys compares the tables of keys, of ErrorInfo's metadata and of a call's, with errors.proto.
// Tests of package service check that the code has the same keys as that file.
func TestDocs_keys(t *testing.T) {
	t.Parallel()
	for _, table := range []struct {
		page, head string
		keys       protoreflect.EnumDescriptor
	}{
		{errorsPage, "| Key | Meaning |", apiv1.ErrorInfoKey(0).Descriptor()},
		{callingPage, "| Request metadata | Meaning |", apiv1.RequestMetadata(0).Descriptor()},
		{callingPage, "| Response metadata | Where | Meaning |", apiv1.ResponseMetadata(0).Descriptor()},
	} {
		var got, want []string
		for _, row := range readDocument(t, table.page).table(t, table.head) {
			// A key may be followed by its value.
			key, _, _ := strings.Cut(strings.Trim(row[0], "`"), ":")
			got = append(got, key)
		}
		for i := 1; i < table.keys.Values().Len(); i++ {
			key, _ := proto.GetExtension(table.keys.Values().Get(i).Options(), apiv1.E_Key).(string)
			want = append(want, key)
		}
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, %s (-errors.proto +page):\n%s", table.page, table.head, diff)
		}
	}
}
