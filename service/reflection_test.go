package service_test

import (
	"errors"
	"sync"
	"testing"

	"google.golang.org/grpc"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"samsara.internal/gateway/service"
)

const annotations = "samsara_gateway/api/v1/annotations.proto"

// questions are three ways to ask for files that end at the annotations, each a request of version 1.
func questions() map[string]*reflectionv1.ServerReflectionRequest {
	return map[string]*reflectionv1.ServerReflectionRequest{
		"by symbol": {MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{
			FileContainingSymbol: "samsara_gateway.tags.v1.TagsService.ListTags",
		}},
		"by path": {MessageRequest: &reflectionv1.ServerReflectionRequest_FileByFilename{
			FileByFilename: "samsara_gateway/tags/v1/tags.proto",
		}},
		"by extension": {MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingExtension{
			FileContainingExtension: &reflectionv1.ExtensionRequest{ContainingType: "google.protobuf.MethodOptions", ExtensionNumber: 50411},
		}},
	}
}

// askV1 returns the files that version 1 of reflection answers.
func askV1(t *testing.T, conn *grpc.ClientConn, request *reflectionv1.ServerReflectionRequest) [][]byte {
	t.Helper()
	stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Error(err)
		return nil
	}
	if err := stream.Send(request); err != nil {
		t.Error(err)
	}
	answer, err := stream.Recv()
	if err := errors.Join(err, stream.CloseSend()); err != nil {
		t.Error(err)
	}
	return answer.GetFileDescriptorResponse().GetFileDescriptorProto()
}

// askV1Alpha returns the same of version 1alpha, whose messages have the same bytes.
func askV1Alpha(t *testing.T, conn *grpc.ClientConn, request *reflectionv1.ServerReflectionRequest) [][]byte {
	t.Helper()
	raw, err := proto.Marshal(request)
	old := new(reflectionv1alpha.ServerReflectionRequest) //nolint:staticcheck // many clients know no other
	if err == nil {
		err = proto.Unmarshal(raw, old)
	}
	if err != nil {
		t.Error(err)
		return nil
	}
	stream, err := reflectionv1alpha.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Error(err)
		return nil
	}
	if err := stream.Send(old); err != nil {
		t.Error(err)
	}
	answer, err := stream.Recv()
	if err := errors.Join(err, stream.CloseSend()); err != nil {
		t.Error(err)
	}
	return answer.GetFileDescriptorResponse().GetFileDescriptorProto() //nolint:staticcheck // many clients know no other
}

// checkFiles compares files with what is registered, and returns how many comments each has.
func checkFiles(t *testing.T, files [][]byte) map[string]int {
	t.Helper()
	comments := make(map[string]int)
	for _, raw := range files {
		have := new(descriptorpb.FileDescriptorProto)
		if err := proto.Unmarshal(raw, have); err != nil {
			t.Error(err)
			continue
		}
		comments[have.GetName()] = 0
		for _, l := range have.GetSourceCodeInfo().GetLocation() {
			if l.GetLeadingComments() != "" {
				comments[have.GetName()]++
			}
		}
		have.SourceCodeInfo = nil
		registered, err := protoregistry.GlobalFiles.FindFileByPath(have.GetName())
		if err != nil {
			t.Error(err)
			continue
		}
		if !proto.Equal(protodesc.ToFileDescriptorProto(registered), have) {
			t.Errorf("%s as it is served differs from what is registered by more than comments", have.GetName())
		}
	}
	return comments
}

// Both versions serve the files as they are registered, annotations included, and the API's files with
// comments if these are wanted, to several clients at once.
func TestReflection_comments(t *testing.T) {
	t.Parallel()
	for _, wanted := range []bool{true, false} {
		g := start(t, service.Config{Upstream: answers(`{}`), Endpoints: endpoints(t), ReflectionComments: wanted})
		var clients sync.WaitGroup
		for way, question := range questions() {
			for version, ask := range map[string]func(*testing.T, *grpc.ClientConn, *reflectionv1.ServerReflectionRequest) [][]byte{"v1": askV1, "v1alpha": askV1Alpha} {
				clients.Go(func() {
					comments := checkFiles(t, ask(t, g.conn, question))
					if _, served := comments[annotations]; !served {
						t.Errorf("%s, %s: %s is not among %v", version, way, annotations, comments)
					}
					for file, n := range comments {
						ours := file == annotations || file == "samsara_gateway/tags/v1/tags.proto" || file == "samsara_gateway/types/v1/types.proto" || file == "samsara_gateway/api/v1/stream.proto"
						if (n > 0) != (wanted && ours) {
							t.Errorf("%s, %s: %d comments in %s, want some: %t", version, way, n, file, wanted && ours)
						}
					}
				})
			}
		}
		clients.Wait()
	}
}

// A name that does not exist is not found, with and without comments.
func TestReflection_notFound(t *testing.T) {
	t.Parallel()
	for _, wanted := range []bool{true, false} {
		g := start(t, service.Config{Upstream: answers(`{}`), ReflectionComments: wanted})
		for name, request := range map[string]*reflectionv1.ServerReflectionRequest{
			"symbol":    {MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "samsara.Nothing"}},
			"path":      {MessageRequest: &reflectionv1.ServerReflectionRequest_FileByFilename{FileByFilename: "nothing.proto"}},
			"extension": {MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingExtension{FileContainingExtension: &reflectionv1.ExtensionRequest{ContainingType: "google.protobuf.MethodOptions", ExtensionNumber: 1}}},
		} {
			stream, err := reflectionv1.NewServerReflectionClient(g.conn).ServerReflectionInfo(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.Send(request); err != nil {
				t.Fatal(err)
			}
			answer, err := stream.Recv()
			if err := errors.Join(err, stream.CloseSend()); err != nil {
				t.Fatal(err)
			}
			if got := answer.GetErrorResponse().GetErrorCode(); got != 5 {
				t.Errorf("%s, with comments %t: error code %d, want 5, not found: %v", name, wanted, got, answer)
			}
		}
	}
}
