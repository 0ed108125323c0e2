package endpoint

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/transcode"
)

// Load returns an endpoint for every method that is annotated as an operation, of the packages below
// samsara_gateway, sorted by FullMethod. A method that is annotated as a stream is added to the operation
// whose pages it reads. Other methods are left out. Request messages are made by types, or dynamically if
// types has none.
//
// The error joins everything that is wrong, each with the method's name: annotations that contradict each
// other or the messages, messages that have no JSON form, two methods for one operation if neither is
// deprecated, and streams over an operation that does not page.
func Load(files *protoregistry.Files, types *protoregistry.Types) ([]*Endpoint, error) {
	var (
		compiler  transcode.Compiler
		endpoints []*Endpoint
		problems  []error
		bound     = map[string]protoreflect.FullName{} // non-deprecated methods by operation
		compiled  = map[protoreflect.FullName]*Endpoint{}
	)
	fail := func(method protoreflect.MethodDescriptor, err error) {
		for _, problem := range flatten(err) {
			problems = append(problems, fmt.Errorf("method %s: %w", method.FullName(), problem))
		}
	}
	for _, method := range methods(files, func(m protoreflect.MethodDescriptor) bool { return operation(m) != nil }) {
		e, err := compile(method, types, &compiler)
		compiled[method.FullName()] = e
		if err == nil && !isDeprecated(method) {
			operation := e.HTTPMethod + " " + shape(e.Operation.GetPath())
			if other, taken := bound[operation]; taken {
				err = fmt.Errorf("%s is bound to %s as well", operation, other)
			}
			bound[operation] = method.FullName()
		}
		if err != nil {
			fail(method, err)
			continue
		}
		endpoints = append(endpoints, e)
	}
	for _, method := range methods(files, func(m protoreflect.MethodDescriptor) bool { return streamOption(m) != nil }) {
		name := protoreflect.Name(streamOption(method).GetMethod())
		pages := compiled[method.Parent().FullName().Append(name)]
		if pages == nil {
			fail(method, fmt.Errorf("reads the pages of %q, which is not an operation of the service", name))
			continue
		}
		s, err := compileStream(method, pages, types)
		if err != nil {
			fail(method, err)
			continue
		}
		pages.Streams = append(pages.Streams, s)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	for _, e := range endpoints {
		slices.SortFunc(e.Streams, compareStreams)
	}
	return endpoints, nil
}

// methods returns the wanted methods of the API, sorted by name.
func methods(files *protoregistry.Files, wanted func(protoreflect.MethodDescriptor) bool) []protoreflect.MethodDescriptor {
	var methods []protoreflect.MethodDescriptor
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if !strings.HasPrefix(string(file.Package()), "samsara_gateway.") {
			return true
		}
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				if method := service.Methods().Get(j); wanted(method) {
					methods = append(methods, method)
				}
			}
		}
		return true
	})
	slices.SortFunc(methods, func(a, b protoreflect.MethodDescriptor) int {
		return cmp.Compare(fullMethod(a), fullMethod(b))
	})
	return methods
}

// operation returns a method's annotation, nil if it has none.
func operation(method protoreflect.MethodDescriptor) *apiv1.Operation {
	op, ok := proto.GetExtension(method.Options(), apiv1.E_Operation).(*apiv1.Operation)
	if !ok {
		return nil
	}
	return op
}

func isDeprecated(method protoreflect.MethodDescriptor) bool {
	options, ok := method.Options().(*descriptorpb.MethodOptions)
	return ok && options.GetDeprecated()
}

func fullMethod(method protoreflect.MethodDescriptor) string {
	return fmt.Sprintf("/%s/%s", method.Parent().FullName(), method.Name())
}

// shape returns a template without its names. Two templates of one shape match the same paths.
func shape(template string) string {
	segments := strings.Split(template, "/")
	for i, s := range segments {
		if _, isName := templateName(s); isName {
			segments[i] = "{}"
		}
	}
	return strings.Join(segments, "/")
}

// flatten returns the errors that errors.Join has joined, so that each can get a prefix.
func flatten(err error) []error {
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		return []error{err}
	}
	var all []error
	for _, err := range joined.Unwrap() {
		all = append(all, flatten(err)...)
	}
	return all
}
