package transcode

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	gatewayv1 "samsara.internal/gateway/gen/samsara/gateway/v1"
)

// FieldOptions returns the gateway's annotation of a field; an empty one where it has none,
// never nil. It is shared: do not change it.
func FieldOptions(fd protoreflect.FieldDescriptor) *gatewayv1.Field {
	options, ok := proto.GetExtension(fd.Options(), gatewayv1.E_Field).(*gatewayv1.Field)
	if !ok || options == nil {
		return &gatewayv1.Field{}
	}
	return options
}

// WireName returns the JSON name of a field: the annotation's name where there is one, else
// the descriptor's json_name.
func WireName(fd protoreflect.FieldDescriptor) string {
	if name := FieldOptions(fd).GetName(); name != "" {
		return name
	}
	return fd.JSONName()
}
