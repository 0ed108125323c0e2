package testproto

import (
	"testing"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	// Linked in so that sources can import them.
	_ "google.golang.org/protobuf/types/known/anypb"
	_ "google.golang.org/protobuf/types/known/durationpb"
	_ "google.golang.org/protobuf/types/known/emptypb"
	_ "google.golang.org/protobuf/types/known/fieldmaskpb"
	_ "google.golang.org/protobuf/types/known/structpb"
	_ "google.golang.org/protobuf/types/known/timestamppb"
	_ "google.golang.org/protobuf/types/known/wrapperspb"
)

// path is the name that the compiled file has.
const path = "test.proto"

// Compile returns the file that source describes. A source that does not compile ends the test.
func Compile(t testing.TB, source string) protoreflect.FileDescriptor {
	t.Helper()
	compiler := protocompile.Compiler{
		Resolver: protocompile.CompositeResolver{
			&protocompile.SourceResolver{Accessor: protocompile.SourceAccessorFromMap(map[string]string{path: source})},
			protocompile.ResolverFunc(linked),
		},
	}
	files, err := compiler.Compile(t.Context(), path)
	if err != nil {
		t.Fatalf("compile %s: %v", path, err)
	}
	// The compiler reads the options by descriptors of its own. Parsed again, they have the generated types.
	wire, err := proto.Marshal(protoutil.ProtoFromFileDescriptor(files[0]))
	if err != nil {
		t.Fatalf("marshal descriptor: %v", err)
	}
	var fdp descriptorpb.FileDescriptorProto
	if err := proto.Unmarshal(wire, &fdp); err != nil {
		t.Fatalf("parse descriptor: %v", err)
	}
	fd, err := protodesc.NewFile(&fdp, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatalf("link descriptor: %v", err)
	}
	return fd
}

// Message compiles source and returns the message called name.
func Message(t testing.TB, source, name string) protoreflect.MessageDescriptor {
	t.Helper()
	md := Compile(t, source).Messages().ByName(protoreflect.Name(name))
	if md == nil {
		t.Fatalf("message %s is not in the source", name)
	}
	return md
}

func linked(path string) (protocompile.SearchResult, error) {
	fd, err := protoregistry.GlobalFiles.FindFileByPath(path)
	if err != nil {
		return protocompile.SearchResult{}, err
	}
	return protocompile.SearchResult{Desc: fd}, nil
}
