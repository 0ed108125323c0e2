package service

import (
	"fmt"
	"sync"

	"google.golang.org/grpc/reflection"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"samsara.internal/gateway/internal/protofiles"
)

// registerReflection registers both versions of reflection. They serve what is registered with
// protoregistry, with the comments of the API's own files if these are wanted.
func registerReflection(s reflection.GRPCServer, comments bool) {
	options := reflection.ServerOptions{Services: s}
	if comments {
		c := &commentary{read: sync.OnceValues(readComments)}
		options.DescriptorResolver = c
		options.ExtensionResolver = commentedTypes{protoregistry.GlobalTypes, c}
	}
	reflectionv1.RegisterServerReflectionServer(s, reflection.NewServerV1(options))
	reflectionv1alpha.RegisterServerReflectionServer(s, reflection.NewServer(options))
}

// commentary resolves descriptors to such that know their comments, which generated ones do not. It
// reads the comments when it is first asked for something, and keeps them. It is safe for concurrent
// use.
type commentary struct {
	read func() (map[string]protoreflect.SourceLocations, error)
}

// readComments returns the comments of each file, by its path.
func readComments() (map[string]protoreflect.SourceLocations, error) {
	infos, err := protofiles.Comments()
	if err != nil {
		return nil, err
	}
	all := make(map[string]protoreflect.SourceLocations, len(infos))
	for path, info := range infos {
		commented, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{Name: &path, SourceCodeInfo: info}, nil)
		if err != nil {
			return nil, fmt.Errorf("comments: %w", err)
		}
		all[path] = commented.SourceLocations()
	}
	return all, nil
}

// FindFileByPath implements protodesc.Resolver.
func (c *commentary) FindFileByPath(path string) (protoreflect.FileDescriptor, error) {
	file, err := protoregistry.GlobalFiles.FindFileByPath(path)
	if err != nil {
		return nil, err
	}
	return c.file(file)
}

// FindDescriptorByName implements protodesc.Resolver. Of what it returns nothing but the file knows
// its comments.
func (c *commentary) FindDescriptorByName(name protoreflect.FullName) (protoreflect.Descriptor, error) {
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
	if err != nil {
		return nil, err
	}
	file, err := c.file(d.ParentFile())
	return commentedDescriptor{d, file}, err
}

// file is a file, and what it imports, with comments.
func (c *commentary) file(f protoreflect.FileDescriptor) (protoreflect.FileDescriptor, error) {
	comments, err := c.read()
	return commentedFile{f, comments}, err
}

type commentedDescriptor struct {
	protoreflect.Descriptor
	file protoreflect.FileDescriptor
}

func (d commentedDescriptor) ParentFile() protoreflect.FileDescriptor { return d.file }

type commentedFile struct {
	protoreflect.FileDescriptor
	comments map[string]protoreflect.SourceLocations
}

func (f commentedFile) SourceLocations() protoreflect.SourceLocations {
	if ours, ok := f.comments[f.Path()]; ok {
		return ours
	}
	return f.FileDescriptor.SourceLocations()
}

func (f commentedFile) Imports() protoreflect.FileImports {
	return commentedImports{f.FileDescriptor.Imports(), f.comments}
}

type commentedImports struct {
	protoreflect.FileImports
	comments map[string]protoreflect.SourceLocations
}

func (i commentedImports) Get(n int) protoreflect.FileImport {
	imported := i.FileImports.Get(n)
	imported.FileDescriptor = commentedFile{imported.FileDescriptor, i.comments}
	return imported
}

// commentedTypes resolves extensions to such whose file knows its comments.
type commentedTypes struct {
	*protoregistry.Types
	commentary *commentary
}

// FindExtensionByNumber implements reflection.ExtensionResolver.
func (t commentedTypes) FindExtensionByNumber(message protoreflect.FullName, number protoreflect.FieldNumber) (protoreflect.ExtensionType, error) {
	extension, err := t.Types.FindExtensionByNumber(message, number)
	if err != nil {
		return nil, err
	}
	file, err := t.commentary.file(extension.TypeDescriptor().ParentFile())
	return commentedExtension{extension, file}, err
}

type commentedExtension struct {
	protoreflect.ExtensionType
	file protoreflect.FileDescriptor
}

func (e commentedExtension) TypeDescriptor() protoreflect.ExtensionTypeDescriptor {
	return commentedExtensionDescriptor{e.ExtensionType.TypeDescriptor(), e.file}
}

type commentedExtensionDescriptor struct {
	protoreflect.ExtensionTypeDescriptor
	file protoreflect.FileDescriptor
}

func (d commentedExtensionDescriptor) ParentFile() protoreflect.FileDescriptor { return d.file }
