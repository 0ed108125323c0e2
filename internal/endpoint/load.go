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

	gatewayv1 "samsara.internal/gateway/gen/samsara/gateway/v1"
	"samsara.internal/gateway/internal/transcode"
)

// Load compiles every annotated method of every package below samsara., sorted by
// FullMethod. Request messages are made by types, or dynamically where types has none.
// Methods without annotation are left out; retired fields are as if they were not there.
//
// The error joins everything that is wrong, each with the method's name: annotations that
// contradict each other or the request message, messages that have no JSON form, and two
// methods, neither of them deprecated, for one operation.
func Load(files *protoregistry.Files, types *protoregistry.Types) ([]*Endpoint, error) {
	var (
		compiler  transcode.Compiler
		endpoints []*Endpoint
		problems  []error
		bound     = map[string]protoreflect.FullName{} // non-deprecated methods by operation
	)
	for _, method := range annotatedMethods(files) {
		e, err := compile(method, types, &compiler)
		if err == nil && !isDeprecated(method) {
			operation := e.HTTPMethod + " " + shape(e.Operation.GetPath())
			if other, taken := bound[operation]; taken {
				err = fmt.Errorf("%s is bound to %s as well", operation, other)
			}
			bound[operation] = method.FullName()
		}
		if err != nil {
			for _, problem := range flatten(err) {
				problems = append(problems, fmt.Errorf("method %s: %w", method.FullName(), problem))
			}
			continue
		}
		endpoints = append(endpoints, e)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return endpoints, nil
}

// annotatedMethods returns the methods to compile, sorted by name.
func annotatedMethods(files *protoregistry.Files) []protoreflect.MethodDescriptor {
	var methods []protoreflect.MethodDescriptor
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if !strings.HasPrefix(string(file.Package()), "samsara.") {
			return true
		}
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				if method := service.Methods().Get(j); operation(method) != nil {
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

// operation returns a method's annotation, nil where it has none.
func operation(method protoreflect.MethodDescriptor) *gatewayv1.Operation {
	op, ok := proto.GetExtension(method.Options(), gatewayv1.E_Operation).(*gatewayv1.Operation)
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

// shape is a template without its names: two templates of one shape match the same paths.
func shape(template string) string {
	segments := strings.Split(template, "/")
	for i, s := range segments {
		if _, isName := templateName(s); isName {
			segments[i] = "{}"
		}
	}
	return strings.Join(segments, "/")
}

// flatten returns the errors that errors.Join has joined, so that each can be prefixed.
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
