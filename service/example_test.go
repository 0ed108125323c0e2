package service_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"net/url"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"

	tagsv1 "samsara.internal/gateway/gen/tags/v1"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/sandbox"
	"samsara.internal/gateway/service"
	"samsara.internal/gateway/upstream"
)

// A whole gateway before the sandbox: a call, a call that fails, and a stream.
func ExampleServer() {
	ctx := context.Background()
	endpoints, err := endpoint.Load(protoregistry.GlobalFiles, protoregistry.GlobalTypes)
	if err != nil {
		fmt.Println(err)
		return
	}
	box, err := sandbox.New(sandbox.Config{Endpoints: endpoints, Token: "token", Seed: 1, Fleet: 3})
	if err != nil {
		fmt.Println(err)
		return
	}
	samsara := httptest.NewServer(box)
	defer samsara.Close()
	base, err := url.Parse(samsara.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	up, err := upstream.New(upstream.Config{BaseURL: base, Token: upstream.StaticToken("token")})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer up.Close()
	server, err := service.New(service.Config{Endpoints: endpoints, Upstream: up})
	if err != nil {
		fmt.Println(err)
		return
	}
	listener := bufconn.Listen(64 << 10)
	served := make(chan error)
	go func() { served <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:gateway", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		fmt.Println(err)
		return
	}
	tags := tagsv1.NewTagsServiceClient(conn)

	created, err := tags.CreateTag(ctx, &tagsv1.CreateTagRequest{Name: proto.String("East")})
	fmt.Println(created.GetData().GetName(), err)

	_, err = tags.GetTag(ctx, &tagsv1.GetTagRequest{Id: proto.String("7")})
	fmt.Println(status.Code(err))
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			fmt.Println(info.GetReason(), info.GetMetadata()["http_status"])
		}
	}

	stream, err := tags.StreamTags(ctx, &tagsv1.StreamTagsRequest{Request: &tagsv1.ListTagsRequest{Limit: proto.Int32(2)}})
	for err == nil {
		var page *tagsv1.StreamTagsResponse
		if page, err = stream.Recv(); err == nil {
			fmt.Println("a page of", len(page.GetPage().GetData()), "tags")
		}
	}
	fmt.Println(errors.Is(err, io.EOF))

	fmt.Println(conn.Close(), server.Stop(ctx), <-served)
	// Output:
	// East <nil>
	// NotFound
	// NOT_FOUND 404
	// a page of 2 tags
	// a page of 2 tags
	// true
	// <nil> <nil> <nil>
}
