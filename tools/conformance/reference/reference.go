// Package reference exports what connectrpc.com/conformance keeps internal: its reference service,
// and the messages in which its runner says what server it wants.
//
// Only a path below connectrpc.com/conformance may import that. Hence the name of this module, which
// is nowhere but here. With the service comes gzip, which the gateway links too.
package reference

import (
	"io"
	"time"

	"connectrpc.com/conformance/internal"
	"connectrpc.com/conformance/internal/app/grpcserver"
	conformancev1 "connectrpc.com/conformance/internal/gen/proto/go/connectrpc/conformance/v1"
	"google.golang.org/grpc"
)

const (
	// requestTimeout and maxRequestBytes bound the request of the runner.
	requestTimeout  = 10 * time.Second
	maxRequestBytes = 1 << 20
)

// Request says what server the runner wants.
type Request = conformancev1.ServerCompatRequest

// Response says where that server listens.
type Response = conformancev1.ServerCompatResponse

// ReadRequest reads the request of the runner, of at most 1 MiB, within 10 seconds.
func ReadRequest(from io.Reader) (*Request, error) {
	want := new(Request)
	return want, internal.ReadDelimitedMessage(from, want, "runner", requestTimeout, maxRequestBytes)
}

// WriteResponse writes the response to the runner.
func WriteResponse(to io.Writer, response *Response) error {
	return internal.WriteDelimitedMessage(to, response)
}

// Register registers the reference service.
func Register(with grpc.ServiceRegistrar) {
	conformancev1.RegisterConformanceServiceServer(with, grpcserver.NewConformanceServiceServer())
}
