package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// Where the tables of keys are.
const (
	errorsPage  = "../../docs/errors.md"
	callingPage = "../../docs/calling.md"
)

// TestDocs_keys holds the tables of keys, of ErrorInfo's metadata and of a call's, against errors.proto. That
// the code has the same keys as that file, tests of package service see to.
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
		page, err := os.ReadFile(table.page)
		if err != nil {
			t.Fatal(err)
		}
		_, rows, found := strings.Cut(string(page), table.head+"\n")
		if rows, _, _ = strings.Cut(rows, "\n\n"); !found {
			t.Errorf("%s has no table %s", table.page, table.head)
		}
		var got, want []string
		for _, row := range regexp.MustCompile("(?m)^\\| `([\\w-]+)").FindAllStringSubmatch(rows, -1) {
			got = append(got, row[1])
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
