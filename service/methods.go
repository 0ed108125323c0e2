package service

import (
	"strconv"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

// unknownName stands for the name of every method that is not served, in logs and metrics, so that
// callers cannot make new series.
const unknownName = "/unknown/unknown"

// methods has the full name of every method that is served. It does not change once the server
// serves.
type methods map[string]struct{}

func (m methods) add(service *grpc.ServiceDesc) {
	for _, method := range service.Methods {
		m["/"+service.ServiceName+"/"+method.MethodName] = struct{}{}
	}
	for _, stream := range service.Streams {
		m["/"+service.ServiceName+"/"+stream.StreamName] = struct{}{}
	}
}

// rename gives a method that is not served its name for the interceptors that follow. Grpc calls
// those of streams for it, with information that they may change.
func (m methods) rename(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if _, ok := m[info.FullMethod]; !ok {
		info.FullMethod = unknownName
	}
	return handler(srv, ss)
}

// unknownMethod answers calls of methods that are not served.
func unknownMethod(_ any, ss grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(ss)
	return newError(codes.Unimplemented, "method "+strconv.Quote(clip(method, 256))+": is not served",
		&errdetails.ErrorInfo{Reason: reasonMethodUnknown})
}
