package transcode_test

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	tagsv1 "samsara.internal/gateway/gen/tags/v1"
	"samsara.internal/gateway/internal/transcode"
)

// JSON becomes the wire form of a message, and what differs from the message is told.
func ExampleDecoder_Append() {
	var compiler transcode.Compiler
	decoder, err := compiler.Decoder((&tagsv1.GetTagResponse{}).ProtoReflect().Descriptor()) // at start-up
	if err != nil {
		fmt.Println(err)
		return
	}
	var drift transcode.Drift
	wire, err := decoder.Append(nil, []byte(`{"data": {"id": 3914, "name": "East", "color": "red"}}`), &drift)
	if err != nil {
		fmt.Println(err)
		return
	}
	var tag tagsv1.GetTagResponse
	if err := proto.Unmarshal(wire, &tag); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(tag.GetData().GetId(), tag.GetData().GetName())
	for _, f := range drift.Findings() {
		fmt.Printf("%s.%s: %v\n", f.Message, f.Member, f.Kind)
	}
	_, err = decoder.Append(nil, []byte(`{"data": {"id": `), nil)
	fmt.Println(err)
	// Output:
	// 3914 East
	// Tag.id: coerced
	// Tag.color: unknown
	// not JSON at byte 16: unexpected end
}

// Fields of a request become a JSON body, as the API reads it.
func ExampleEncoder_Append() {
	message := (&tagsv1.CreateTagRequest{
		Name: proto.String("East"), Vehicles: []string{"1", "2"}, ExternalIds: map[string]string{"crm": "7"},
	}).ProtoReflect()
	var fields []protoreflect.FieldDescriptor
	for i := range message.Descriptor().Fields().Len() {
		fields = append(fields, message.Descriptor().Fields().Get(i))
	}
	var compiler transcode.Compiler
	encoder, err := compiler.Encoder(message.Descriptor(), fields) // at start-up
	if err != nil {
		fmt.Println(err)
		return
	}
	body, err := encoder.Append(nil, message, nil)
	fmt.Println(string(body), err)
	// Output: {"externalIds":{"crm":"7"},"name":"East","vehicles":["1","2"]} <nil>
}
