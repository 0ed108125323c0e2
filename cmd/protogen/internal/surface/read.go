package surface

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/linker"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"samsara.internal/gateway/cmd/protogen/internal/model"
	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// ErrForeign is wrapped in the error for a proto file that protogen would not have written. protogen
// cannot keep what is in such a file.
var ErrForeign = errors.New("not written by protogen")

// readTrees reads the proto files of earlier runs into two equal trees. A folder without any gives empty
// trees.
func readTrees(ctx context.Context, root string) ([2]*tree, error) {
	trees := [2]*tree{{packages: map[model.Package]*pkg{}}, {packages: map[model.Package]*pkg{}}}
	files, err := findFiles(root)
	if err != nil || len(files) == 0 {
		return trees, err
	}
	compiler := protocompile.Compiler{Resolver: protocompile.WithStandardImports(protocompile.CompositeResolver{
		protocompile.ResolverFunc(linkedIn),
		&protocompile.SourceResolver{ImportPaths: []string{root}},
	})}
	compiled, err := compiler.Compile(ctx, files...)
	if err != nil {
		return trees, err
	}
	for _, t := range trees {
		if err := t.read(compiled); err != nil {
			return trees, err
		}
	}
	return trees, nil
}

// read adds what the files say to the tree.
func (t *tree) read(files linker.Files) error {
	r := reader{tree: t, messages: map[protoreflect.FullName]*message{}}
	for _, file := range files {
		if err := r.declare(file); err != nil {
			return fmt.Errorf("%s: %w", file.Path(), err)
		}
	}
	for _, file := range files {
		if err := r.fill(file); err != nil {
			return fmt.Errorf("%s: %w", file.Path(), err)
		}
	}
	return nil
}

// linkedIn resolves the gateway's own proto files to the version that protogen was compiled with.
func linkedIn(file string) (protocompile.SearchResult, error) {
	switch file {
	case apiv1.File_samsara_gateway_api_v1_annotations_proto.Path():
		return protocompile.SearchResult{Desc: apiv1.File_samsara_gateway_api_v1_annotations_proto}, nil
	case apiv1.File_samsara_gateway_api_v1_stream_proto.Path():
		return protocompile.SearchResult{Desc: apiv1.File_samsara_gateway_api_v1_stream_proto}, nil
	}
	return protocompile.SearchResult{}, fs.ErrNotExist
}

// findFiles returns the proto files that protogen wrote.
func findFiles(root string) ([]string, error) {
	var files []string
	err := fs.WalkDir(os.DirFS(root), model.Root, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case file == model.Root && errors.Is(err, fs.ErrNotExist):
			return fs.SkipAll
		case err != nil:
			return err
		case path.Dir(file) == model.Root && !(model.Package{Area: path.Base(file)}).Written():
			return fs.SkipDir
		case path.Ext(file) == ".proto":
			files = append(files, file)
		}
		return nil
	})
	return files, err
}

// reader turns descriptors into a tree: first every message by name, then their fields.
type reader struct {
	tree     *tree
	messages map[protoreflect.FullName]*message
}

func (r *reader) declare(file protoreflect.FileDescriptor) error {
	parts := strings.Split(string(file.Package()), ".")
	if len(parts) != 3 {
		return fmt.Errorf("package %s: %w", file.Package(), ErrForeign)
	}
	p := model.Package{Area: parts[1]}
	if string(file.Package()) != p.String() || file.Path() != p.File() || file.Enums().Len()+file.Extensions().Len() > 0 || file.Services().Len() > 1 {
		return fmt.Errorf("package %s: %w", file.Package(), ErrForeign)
	}
	for i := range file.Messages().Len() {
		d := file.Messages().Get(i)
		var options descriptorpb.MessageOptions
		if err := reparse(d, &options); err != nil {
			return err
		}
		m := r.tree.at(p).add(schemaExtension(&options)...)
		m.name, m.deprecated = string(d.Name()), options.GetDeprecated()
		for i := range d.ReservedRanges().Len() {
			numbers := d.ReservedRanges().Get(i)
			m.reserved.ranges = append(m.reserved.ranges, [2]int32{int32(numbers[0]), int32(numbers[1] - 1)})
		}
		for i := range d.ReservedNames().Len() {
			m.reserved.names = append(m.reserved.names, string(d.ReservedNames().Get(i)))
		}
		r.messages[d.FullName()] = m
	}
	return nil
}

func (r *reader) fill(file protoreflect.FileDescriptor) error {
	for i := range file.Messages().Len() {
		d := file.Messages().Get(i)
		m := r.messages[d.FullName()]
		for i := range d.Fields().Len() {
			f, err := r.field(d.Fields().Get(i))
			if err != nil {
				return err
			}
			m.fields = append(m.fields, f)
		}
	}
	for i := range file.Services().Len() {
		if err := r.service(file.Services().Get(i).Methods()); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) field(d protoreflect.FieldDescriptor) (*field, error) {
	var options descriptorpb.FieldOptions
	if err := reparse(d, &options); err != nil {
		return nil, err
	}
	f := &field{
		name:       string(d.Name()),
		jsonName:   d.JSONName(),
		number:     int32(d.Number()),
		options:    fieldExtension(&options),
		deprecated: options.GetDeprecated(),
	}
	value := d
	switch {
	case d.IsMap():
		f.label, value = model.Mapping, d.MapValue()
	case d.IsList():
		f.label = model.List
	}
	if value.Message() != nil {
		f.message = r.messages[value.Message().FullName()]
	}
	known := false
	f.kind, known = kindOf(value)
	if f.label == model.Single && f.kind.Scalar() && !d.HasOptionalKeyword() || !known && f.message == nil {
		return nil, fmt.Errorf("field %s: %w", d.FullName(), ErrForeign)
	}
	return f, nil
}

// kindOf returns the kind that protogen writes as the field's type, and reports whether there is one.
func kindOf(d protoreflect.FieldDescriptor) (model.Kind, bool) {
	name := d.Kind().String()
	if d.Message() != nil {
		name = string(d.Message().FullName())
	}
	for _, k := range []model.Kind{
		model.KindAny, model.KindList, model.KindMask, model.KindStreamOptions, model.KindFollowOptions, model.KindKeepAlive,
		model.KindString, model.KindInteger, model.KindInt32, model.KindNumber, model.KindBoolean,
	} {
		if k.Name() == name {
			return k, true
		}
	}
	return model.KindMessage, false
}

// service reads the unary methods, then their twins.
func (r *reader) service(methods protoreflect.MethodDescriptors) error {
	for _, twins := range []bool{false, true} {
		for i := range methods.Len() {
			d, read := methods.Get(i), r.method
			if twins {
				read = r.twin
			}
			if d.IsStreamingServer() != twins {
				continue
			}
			if err := read(d); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *reader) method(d protoreflect.MethodDescriptor) error {
	var options descriptorpb.MethodOptions
	if err := reparse(d, &options); err != nil {
		return err
	}
	request, response := r.messages[d.Input().FullName()], r.messages[d.Output().FullName()]
	operation, ok := proto.GetExtension(&options, apiv1.E_Operation).(*apiv1.Operation)
	if !ok || operation == nil || r.tree.method(operation.GetId()) != nil || request == nil || response == nil || d.IsStreamingClient() {
		return fmt.Errorf("method %s: %w", d.FullName(), ErrForeign)
	}
	request.pkg.methods = append(request.pkg.methods, &method{
		name:       string(d.Name()),
		operation:  operation,
		request:    request,
		response:   response,
		deprecated: options.GetDeprecated(),
	})
	return nil
}

func (r *reader) twin(d protoreflect.MethodDescriptor) error {
	var options descriptorpb.MethodOptions
	if err := reparse(d, &options); err != nil {
		return err
	}
	foreign := fmt.Errorf("method %s: %w", d.FullName(), ErrForeign)
	request, response := r.messages[d.Input().FullName()], r.messages[d.Output().FullName()]
	stream, ok := proto.GetExtension(&options, apiv1.E_Stream).(*apiv1.Stream)
	unserved := ok && stream == nil && request != nil
	if unserved {
		stream = request.streamOf()
	}
	if !ok || stream.GetShape() == apiv1.StreamShape_STREAM_SHAPE_UNSPECIFIED || request == nil || response == nil || d.IsStreamingClient() {
		return foreign
	}
	unary := slices.IndexFunc(request.pkg.methods, func(m *method) bool { return m.name == stream.GetMethod() })
	if unary < 0 || request.pkg.methods[unary].twin(stream.GetShape()) != nil {
		return foreign
	}
	have := slices.Concat(request.fields, response.fields)
	request.pkg.methods[unary].attach(&twin{
		name:       string(d.Name()),
		stream:     stream,
		request:    request,
		response:   response,
		deprecated: options.GetDeprecated(),
		unserved:   unserved,
	})
	made := slices.Concat(request.fields, response.fields)
	if !slices.EqualFunc(have, made, (*field).same) {
		return foreign
	}
	return nil
}

// streamOf returns what the annotation of a twin would say if it had one, from its request.
func (m *message) streamOf() *apiv1.Stream {
	stream := &apiv1.Stream{}
	for _, f := range m.fields {
		switch f.kind {
		case model.KindMessage:
			for _, unary := range m.pkg.methods {
				if unary.request == f.message {
					stream.Method = unary.name
				}
			}
		case model.KindStreamOptions:
			stream.Shape = apiv1.StreamShape_STREAM_SHAPE_PAGES
		case model.KindFollowOptions:
			stream.Shape = apiv1.StreamShape_STREAM_SHAPE_FOLLOW
		default:
		}
	}
	return stream
}

// reparse parses a descriptor's options again, so that extensions have their generated types.
func reparse(d protoreflect.Descriptor, into proto.Message) error {
	raw, err := proto.Marshal(d.Options())
	if err != nil {
		return fmt.Errorf("options of %s: %w", d.FullName(), err)
	}
	return proto.Unmarshal(raw, into)
}

func schemaExtension(options *descriptorpb.MessageOptions) []string {
	value, _ := proto.GetExtension(options, apiv1.E_Schema).([]string)
	return value
}

func fieldExtension(options *descriptorpb.FieldOptions) *apiv1.Field {
	if value, ok := proto.GetExtension(options, apiv1.E_Field).(*apiv1.Field); ok && value != nil {
		return value
	}
	return &apiv1.Field{}
}
