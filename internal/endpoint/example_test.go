package endpoint_test

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	tagsv1 "samsara.internal/gateway/gen/tags/v1"
	"samsara.internal/gateway/internal/endpoint"
)

// A request message becomes an HTTP request, or an error that lists what is wrong with it.
func ExampleEndpoint_Bind() {
	endpoints, err := endpoint.Load(protoregistry.GlobalFiles, protoregistry.GlobalTypes) // at start-up
	if err != nil {
		fmt.Println(err)
		return
	}
	update := endpoint.Find(endpoints, "PATCH", "/tags/3914")
	fmt.Println(update.FullMethod)
	bound, err := update.Bind((&tagsv1.UpdateTagRequest{
		Id: proto.String("crm:7/8"), Name: proto.String("East"),
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"name", "parent_tag_id"}},
	}).ProtoReflect())
	fmt.Println(update.HTTPMethod, bound.Path, string(bound.Body), err)

	create := endpoint.Find(endpoints, "POST", "/tags")
	_, err = create.Bind((&tagsv1.CreateTagRequest{}).ProtoReflect())
	fmt.Println(err)
	// Output:
	// /samsara_gateway.tags.v1.TagsService/UpdateTag
	// PATCH /tags/crm:7%2F8 {"name":"East","parentTagId":null} <nil>
	// name: is required
}

// A stream reads the pages of an operation: each is asked for like the first one, with a cursor.
func ExampleStream_Bind() {
	endpoints, err := endpoint.Load(protoregistry.GlobalFiles, protoregistry.GlobalTypes)
	if err != nil {
		fmt.Println(err)
		return
	}
	pages := endpoint.Find(endpoints, "GET", "/tags").Streams[0]
	walk, err := pages.Bind((&tagsv1.StreamTagsRequest{
		Request: &tagsv1.ListTagsRequest{Limit: proto.Int32(100)},
		Options: &apiv1.StreamOptions{MaxPages: proto.Int32(2)},
	}).ProtoReflect())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(pages.FullMethod, "reads at most", walk.MaxPages, "pages")
	for _, cursor := range []string{walk.Start, "Y3Vyc29y"} {
		next := walk.Request(cursor)
		fmt.Println(next.Path + "?" + next.Query)
	}
	// Output:
	// /samsara_gateway.tags.v1.TagsService/StreamTags reads at most 2 pages
	// /tags?limit=100
	// /tags?limit=100&after=Y3Vyc29y
}
