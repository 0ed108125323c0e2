package protofiles_test

import (
	"fmt"

	"samsara.internal/gateway/internal/protofiles"
)

// The image of an area has what it imports, each file after its imports.
func ExampleImage() {
	image, err := protofiles.Image("tags")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, file := range image.GetFile() {
		fmt.Println(file.GetName())
	}
	// Output:
	// google/protobuf/duration.proto
	// google/rpc/error_details.proto
	// google/protobuf/any.proto
	// google/rpc/status.proto
	// google/protobuf/descriptor.proto
	// samsara_gateway/api/v1/annotations.proto
	// samsara_gateway/api/v1/errors.proto
	// samsara_gateway/api/v1/passthrough.proto
	// google/protobuf/timestamp.proto
	// samsara_gateway/api/v1/stream.proto
	// google/protobuf/field_mask.proto
	// samsara_gateway/types/v1/types.proto
	// samsara_gateway/tags/v1/tags.proto
}

// The error names an area that does not exist, and similar areas.
func ExampleImage_noSuchArea() {
	_, err := protofiles.Image("vehicels")
	fmt.Println(err)
	// Output:
	// there is no area "vehicels" (similar: vehicles)
}
