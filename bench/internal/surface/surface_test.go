package surface_test

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"samsara.internal/gateway/bench/internal/surface"
	"samsara.internal/gateway/internal/testenv"
)

// script writes a gateway that knows --listen and serves GET /tags as a method of the package renamed.
func script(t *testing.T) string {
	t.Helper()
	testenv.Processes(t)
	path := filepath.Join(t.TempDir(), "gateway")
	const text = `#!/bin/sh
case $1 in
help) printf '  gateway help   this text\n      --listen ADDRESS   ADDRESS that --listens [X]\n      --quota   limits\n' ;;
endpoints) printf '[{"method": "renamed.Tags/ListTags", "httpMethod": "GET", "path": "/tags", "streams": ["StreamTags", "FollowTags"]}, {"method": "renamed.Tags/GetTag", "httpMethod": "GET", "path": "/tags/{id}"}]' ;;
*) echo what >&2; exit 2 ;;
esac
`
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestInspect_binary(t *testing.T) {
	t.Parallel()
	b, err := surface.Inspect(t.Context(), script(t))
	if err != nil {
		t.Fatal(err)
	}
	if got := b.Known("--listen=:1", "--listens", "--quota=false", "--new-flag=1"); !slices.Equal(got, []string{"--listen=:1", "--quota=false"}) {
		t.Errorf("known %q", got)
	}
	if got, err := b.Unary("GET /tags"); err != nil || got != "/renamed.Tags/ListTags" {
		t.Errorf("unary %q, %v", got, err)
	}
	if got, err := b.Follow("GET /tags"); err != nil || got != "/renamed.Tags/FollowTags" {
		t.Errorf("follow %q, %v", got, err)
	}
	if _, err := b.Unary("POST /tags"); err == nil || !strings.Contains(err.Error(), "POST /tags") {
		t.Errorf("error %v, want one that names the operation", err)
	}
	if _, err := b.Follow("GET /tags/{id}"); err == nil {
		t.Error("an operation without a feed is followed")
	}
}

func TestInspect_fails(t *testing.T) {
	t.Parallel()
	testenv.Processes(t)
	if _, err := surface.Inspect(t.Context(), "/bin/false"); err == nil || !strings.Contains(err.Error(), "/bin/false help: exit status 1") {
		t.Errorf("error %v, want the command and its exit status", err)
	}
}

// renamed returns a service whose request has the field of JSON name "after" under a number that no real
// request uses.
func renamed(t *testing.T) protoreflect.ServiceDescriptor {
	t.Helper()
	text := descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum()
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("renamed.proto"), Package: proto.String("renamed"), Syntax: proto.String("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{
			{Name: proto.String("Request"), Field: []*descriptorpb.FieldDescriptorProto{{Name: proto.String("after"), Number: proto.Int32(700), Type: text}}},
			{Name: proto.String("Response"), Field: []*descriptorpb.FieldDescriptorProto{{Name: proto.String("data"), Number: proto.Int32(3), Type: text}}},
		},
		Service: []*descriptorpb.ServiceDescriptorProto{{
			Name: proto.String("Tags"),
			Method: []*descriptorpb.MethodDescriptorProto{{
				Name: proto.String("ListTags"), InputType: proto.String(".renamed.Request"), OutputType: proto.String(".renamed.Response"),
			}},
		}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return file.Services().Get(0)
}

func TestReflect_renamedMethod(t *testing.T) {
	t.Parallel()
	service := renamed(t)
	files := new(protoregistry.Files)
	if err := files.RegisterFile(service.ParentFile()); err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	server.RegisterService(&grpc.ServiceDesc{ServiceName: string(service.FullName()), Metadata: service.ParentFile().Path()}, nil)
	reflectionServer := reflection.NewServerV1(reflection.ServerOptions{Services: server, DescriptorResolver: files})
	grpc_reflection_v1.RegisterServerReflectionServer(server, reflectionServer)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	connection, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })

	m, err := surface.Reflect(t.Context(), connection, "/renamed.Tags/ListTags")
	if err != nil {
		t.Fatal(err)
	}
	// Field 700, with wire type bytes.
	if wire, err := m.Request([]byte(`{"after":"x"}`)); err != nil || !bytes.Equal(wire, []byte("\xe2\x2b\x01x")) {
		t.Errorf("request % x, %v", wire, err)
	}
	if _, err := m.Request([]byte(`{"before":"x"}`)); err == nil {
		t.Error("an unknown field is accepted")
	}
	want, err := m.Answer([]byte(`{"data":"y","_links":{}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := m.Decode([]byte("\x1a\x01y")); err != nil || !proto.Equal(got, want) {
		t.Errorf("answer %v, %v, want %v", got, err, want)
	}
	for _, name := range []string{"/renamed.Tags/GetTag", "/samsara.Tags/ListTags"} {
		if _, err := surface.Reflect(t.Context(), connection, name); err == nil || !strings.Contains(err.Error(), "Tags") {
			t.Errorf("%s: error %v, want one that names the service", name, err)
		}
	}
}

func TestLocal_unknownOperation(t *testing.T) {
	t.Parallel()
	if _, err := surface.Local("GET /no/such"); err == nil || !strings.Contains(err.Error(), "GET /no/such") {
		t.Errorf("error %v, want one that names the operation", err)
	}
}
