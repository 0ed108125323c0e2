package endpoint

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/transcode"
)

// streamOption returns a method's annotation as a stream, nil if it has none.
func streamOption(method protoreflect.MethodDescriptor) *apiv1.Stream {
	option, ok := proto.GetExtension(method.Options(), apiv1.E_Stream).(*apiv1.Stream)
	if !ok {
		return nil
	}
	return option
}

// The fields of a stream's messages have the same numbers in all of them.
const (
	// PageNumber and CursorNumber are in every response.
	PageNumber   protowire.Number = 1
	CursorNumber protowire.Number = 2
	// KeepAliveNumber is in the responses of streams that follow.
	KeepAliveNumber protowire.Number = 3

	requestNumber protowire.Number = 1
	optionsNumber protowire.Number = 2
)

// compileStream returns the stream of a method that reads pages. The error joins everything that is wrong
// with the method.
func compileStream(method protoreflect.MethodDescriptor, pages *Endpoint, types *protoregistry.Types) (*Stream, error) {
	option := streamOption(method)
	s := &Stream{
		FullMethod:  fullMethod(method),
		Method:      method,
		Input:       messageType(types, method.Input()),
		Pages:       pages,
		Follow:      option.GetShape() == apiv1.StreamShape_STREAM_SHAPE_FOLLOW,
		endRequired: option.GetEndRequired(),
	}
	var problems []error
	require := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	require(operation(method) == nil, "is annotated as an operation too")
	require(method.IsStreamingServer() && !method.IsStreamingClient(), "is not server streaming")
	switch option.GetShape() {
	case apiv1.StreamShape_STREAM_SHAPE_PAGES:
	case apiv1.StreamShape_STREAM_SHAPE_FOLLOW:
		require(pages.Operation.GetFeed(), "follows %s, which is not a feed", pages.Method.Name())
	default:
		require(false, "shape is %s", option.GetShape())
	}
	problems = append(problems, s.bindMessages(), s.bindBounds(), s.bindPage())
	return s, errors.Join(problems...)
}

// bindMessages finds the fields of the stream's own messages.
func (s *Stream) bindMessages() error {
	options := new(apiv1.StreamOptions).ProtoReflect().Descriptor()
	if s.Follow {
		options = new(apiv1.FollowOptions).ProtoReflect().Descriptor()
	}
	input, output, inner := s.Method.Input(), s.Method.Output(), s.Pages.Method
	var problems []error
	field := func(in protoreflect.MessageDescriptor, name string, number protowire.Number, message protoreflect.MessageDescriptor) protoreflect.FieldDescriptor {
		want := "string"
		if message != nil {
			want = string(message.FullName())
		}
		fd := in.Fields().ByNumber(number)
		if fd == nil || fd.Name() != protoreflect.Name(name) || kindName(fd) != want {
			problems = append(problems, fmt.Errorf("message %s has no field `%s %s = %d`", in.Name(), want, name, number))
		}
		return fd
	}
	s.request = field(input, "request", requestNumber, inner.Input())
	s.options = field(input, "options", optionsNumber, options)
	field(output, "page", PageNumber, inner.Output())
	field(output, "cursor", CursorNumber, nil)
	if s.Follow {
		field(output, "keep_alive", KeepAliveNumber, new(apiv1.KeepAlive).ProtoReflect().Descriptor())
	}
	return errors.Join(problems...)
}

// bindBounds finds the fields that say where the stream begins and ends.
func (s *Stream) bindBounds() error {
	pages := s.Pages
	for _, fields := range transcode.Lines(pages.QueryFields) {
		switch transcode.WireName(fields[0]) {
		case "endingBefore":
			s.before = fields
		case "endTime":
			s.end = fields
		}
	}
	var problems []error
	switch {
	case pages.cursor == nil:
		problems = append(problems, fmt.Errorf("%s has no field for the cursor of %s", pages.Method.Input().Name(), pages.Operation.GetPagination()))
	case pages.cursor[0].IsList() || pages.cursor[0].Kind() != protoreflect.StringKind:
		problems = append(problems, fmt.Errorf("field %s: %s is not a cursor", pages.cursor.name(), kindName(pages.cursor[0])))
	}
	if s.endRequired && s.end == nil {
		problems = append(problems, fmt.Errorf("end_required: %s has no field endTime", pages.Method.Input().Name()))
	}
	return errors.Join(problems...)
}

// bindPage finds the fields of a page.
func (s *Stream) bindPage() error {
	output := s.Pages.Method.Output()
	items, noItems := numbersOf(output, s.Pages.Operation.GetItems())
	s.page.items = items
	if s.Pages.Numbered() {
		return noItems
	}
	pagination := byWireName(output, "pagination")
	if pagination == nil || pagination.Message() == nil || pagination.IsList() || pagination.IsMap() {
		return errors.Join(noItems, fmt.Errorf("message %s has no message pagination", output.Name()))
	}
	end := byWireName(pagination.Message(), "endCursor")
	more := byWireName(pagination.Message(), "hasNextPage")
	if end == nil || kindName(end) != "string" || more == nil || kindName(more) != "bool" {
		return errors.Join(noItems, fmt.Errorf("message %s has not both a string endCursor and a bool hasNextPage", pagination.Message().Name()))
	}
	s.page.pagination, s.page.end, s.page.more = pagination.Number(), end.Number(), more.Number()
	return noItems
}

// numbersOf returns the field numbers of a path in proto names that leads to a list of records.
func numbersOf(md protoreflect.MessageDescriptor, path string) ([]protowire.Number, error) {
	var numbers []protowire.Number
	names := strings.Split(path, ".")
	for i, name := range names {
		fd := md.Fields().ByName(protoreflect.Name(name))
		last := i == len(names)-1
		if fd == nil || last && (!fd.IsList() || fd.IsPacked()) || !last && (fd.Message() == nil || fd.IsList() || fd.IsMap()) {
			return nil, fmt.Errorf("items %q is not the path of a list of messages or texts", path)
		}
		numbers = append(numbers, fd.Number())
		md = fd.Message()
	}
	return numbers, nil
}

func byWireName(md protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	for i := range md.Fields().Len() {
		if fd := md.Fields().Get(i); transcode.WireName(fd) == name && !transcode.FieldOptions(fd).GetRetired() {
			return fd
		}
	}
	return nil
}

// cursorName returns the wire name of the field that holds the cursor, empty without pagination.
func cursorName(p apiv1.Pagination) string {
	switch p {
	case apiv1.Pagination_PAGINATION_CURSOR:
		return "after"
	case apiv1.Pagination_PAGINATION_BIDIRECTIONAL:
		return "startingAfter"
	case apiv1.Pagination_PAGINATION_PAGE_NUMBER:
		return "pageNumber"
	default:
		return ""
	}
}

// compareStreams orders streams by name, the ones that follow a feed last.
func compareStreams(a, b *Stream) int {
	if a.Follow != b.Follow {
		if a.Follow {
			return 1
		}
		return -1
	}
	return cmp.Compare(a.FullMethod, b.FullMethod)
}
