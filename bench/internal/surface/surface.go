// Package surface finds out how a build of the gateway offers the operations that the bench
// measures, so that builds with other names, field numbers and flags can be compared.
//
// An operation is known by HTTP method and path, a field by its JSON name: these are Samsara's,
// and no release of the gateway changes them. A build says itself what it calls its methods
// (`gateway endpoints`), which flags it knows (`gateway help`) and, by gRPC reflection, what its
// messages look like.
package surface

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	_ "samsara.internal/gateway/gen" // Local finds methods and messages in what this registers
	"samsara.internal/gateway/internal/endpoint"
)

// Operation is an HTTP method and a path, such as "GET /fleet/vehicles/stats".
type Operation string

// Path returns the path alone.
func (o Operation) Path() string {
	_, path, _ := strings.Cut(string(o), " ")
	return path
}

// Method is a gRPC method of one build. Its messages are read and written as protojson does, so
// fields have their JSON names.
type Method struct {
	// Name is "/samsara_gateway.vehicles.v1.VehiclesService/ListVehicles".
	Name string
	// Input and Output make its messages.
	Input, Output protoreflect.MessageType
}

// Request returns a request on the wire.
func (m Method) Request(json []byte) ([]byte, error) {
	message := m.Input.New().Interface()
	if err := protojson.Unmarshal(json, message); err != nil {
		return nil, fmt.Errorf("request of %s: %w", m.Name, err)
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(message)
}

// Answer returns an answer as protojson reads it, without members that the build does not know.
func (m Method) Answer(json []byte) (proto.Message, error) {
	message := m.Output.New().Interface()
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(json, message); err != nil {
		return nil, fmt.Errorf("answer of %s: %w", m.Name, err)
	}
	return message, nil
}

// Decode reads an answer from the wire.
func (m Method) Decode(wire []byte) (proto.Message, error) {
	message := m.Output.New().Interface()
	if err := proto.Unmarshal(wire, message); err != nil {
		return nil, fmt.Errorf("answer of %s: %w", m.Name, err)
	}
	return message, nil
}

// Local returns an operation's method in the build that this is a part of. Its messages are
// generated ones.
func Local(o Operation) (Method, error) {
	endpoints, err := endpoint.Load(protoregistry.GlobalFiles, protoregistry.GlobalTypes)
	if err != nil {
		return Method{}, err
	}
	i := slices.IndexFunc(endpoints, func(e *endpoint.Endpoint) bool {
		return e.HTTPMethod+" "+e.Operation.GetPath() == string(o)
	})
	if i < 0 {
		return Method{}, fmt.Errorf("%s: there is no such operation", o)
	}
	method := endpoints[i].Method
	output, err := protoregistry.GlobalTypes.FindMessageByName(method.Output().FullName())
	if err != nil {
		return Method{}, err
	}
	return Method{Name: endpoints[i].FullMethod, Input: endpoints[i].Input, Output: output}, nil
}

// Reflect returns a method of the server at the other end, by its full name. Its messages are
// dynamic ones.
func Reflect(ctx context.Context, connection grpc.ClientConnInterface, name string) (Method, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the stream
	service, methodName := path.Split(strings.TrimPrefix(name, "/"))
	service = strings.TrimSuffix(service, "/")
	stream, err := grpc_reflection_v1.NewServerReflectionClient(connection).ServerReflectionInfo(ctx)
	if err != nil {
		return Method{}, err
	}
	err = stream.Send(&grpc_reflection_v1.ServerReflectionRequest{
		MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: service},
	})
	if err != nil {
		return Method{}, err
	}
	answer, err := stream.Recv()
	if err != nil {
		return Method{}, err
	}
	if refused := answer.GetErrorResponse(); refused != nil {
		return Method{}, fmt.Errorf("reflection of %s: %s", service, refused.GetErrorMessage())
	}
	var set descriptorpb.FileDescriptorSet // the file and all that it depends on
	for _, wire := range answer.GetFileDescriptorResponse().GetFileDescriptorProto() {
		file := new(descriptorpb.FileDescriptorProto)
		if err := proto.Unmarshal(wire, file); err != nil {
			return Method{}, err
		}
		set.File = append(set.File, file)
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		return Method{}, fmt.Errorf("reflection of %s: %w", service, err)
	}
	found, err := files.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return Method{}, err
	}
	described, ok := found.(protoreflect.ServiceDescriptor)
	if !ok {
		return Method{}, fmt.Errorf("reflection of %s: it is not a service", service)
	}
	method := described.Methods().ByName(protoreflect.Name(methodName))
	if method == nil {
		return Method{}, fmt.Errorf("reflection of %s: it has no method %q", service, methodName)
	}
	return Method{
		Name:  "/" + service + "/" + methodName,
		Input: dynamicpb.NewMessageType(method.Input()), Output: dynamicpb.NewMessageType(method.Output()),
	}, nil
}
