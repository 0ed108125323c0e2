package main

import (
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"samsara.internal/gateway/gen"
)

// The comments in gen are those of the proto files, for every declaration, and each declaration comes after
// the one that is before it.
func TestComments_embedded(t *testing.T) {
	t.Parallel()
	unpacked, err := gzip.NewReader(strings.NewReader(gen.Comments()))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	var files descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(raw, &files); err != nil {
		t.Fatal(err)
	}
	names := make([]string, len(files.GetFile()))
	for i, f := range files.GetFile() {
		names[i] = f.GetName()
	}
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{"../../proto"}}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	compiled, err := compiler.Compile(t.Context(), names...)
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for i, want := range compiled {
		have, err := protodesc.NewFile(files.GetFile()[i], nil)
		if err != nil {
			t.Fatal(err)
		}
		declarations(want, func(d protoreflect.Descriptor) {
			compared++
			of := want.SourceLocations().ByDescriptor(d)
			if got := have.SourceLocations().ByPath(of.Path); got.LeadingComments != of.LeadingComments || got.StartLine != of.StartLine {
				t.Errorf("%s: %q at line %d, want %q at line %d", d.FullName(), got.LeadingComments, got.StartLine, of.LeadingComments, of.StartLine)
			}
		})
	}
	if len(names) < 70 || compared < 11_000 {
		t.Errorf("compared %d declarations in %d files", compared, len(names))
	}
}

// declarations calls f with each declaration of a file.
func declarations(file protoreflect.FileDescriptor, f func(protoreflect.Descriptor)) {
	for i := range file.Services().Len() {
		service := file.Services().Get(i)
		f(service)
		for i := range service.Methods().Len() {
			f(service.Methods().Get(i))
		}
	}
	for i := range file.Messages().Len() {
		message := file.Messages().Get(i)
		f(message)
		for i := range message.Fields().Len() {
			f(message.Fields().Get(i))
		}
	}
	for i := range file.Enums().Len() {
		enum := file.Enums().Get(i)
		f(enum)
		for i := range enum.Values().Len() {
			f(enum.Values().Get(i))
		}
	}
	for i := range file.Extensions().Len() {
		f(file.Extensions().Get(i))
	}
}
