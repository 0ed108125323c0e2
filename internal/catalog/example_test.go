package catalog_test

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoregistry"

	_ "samsara.internal/gateway/gen" // the methods that there are
	"samsara.internal/gateway/internal/catalog"
	"samsara.internal/gateway/internal/endpoint"
)

// A method is found by any of its names.
func ExampleCatalog_Resolve() {
	endpoints, err := endpoint.Load(protoregistry.GlobalFiles, protoregistry.GlobalTypes)
	if err != nil {
		fmt.Println(err)
		return
	}
	methods := catalog.New(endpoints)
	for _, name := range []string{"GET /tags/3914", "tags.GetTag", "patchTag", "StreamTags", "ListTgas", "/tags/3914"} {
		m, err := methods.Resolve(name)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(m.FullName())
	}
	// Output:
	// samsara_gateway.tags.v1.TagsService/GetTag
	// samsara_gateway.tags.v1.TagsService/GetTag
	// samsara_gateway.tags.v1.TagsService/UpdateTag
	// samsara_gateway.tags.v1.TagsService/StreamTags
	// "ListTgas" stands for no method; similar: listTags
	// "/tags/3914" stands for several methods: GET /tags/{id}, PUT /tags/{id}, PATCH /tags/{id}, DELETE /tags/{id}
}

// Methods are found by words, the best match first.
func ExampleCatalog_Search() {
	endpoints, err := endpoint.Load(protoregistry.GlobalFiles, protoregistry.GlobalTypes)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range catalog.New(endpoints).Search([]string{"write tags", "delete"}) {
		fmt.Println(e.HTTPMethod, e.Operation.GetPath())
	}
	// Output:
	// DELETE /tags/{id}
}
