package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// Connections is how many connections a gRPC client spreads its workers over. The figures
// depend on it, so it is the same for all.
const Connections = 4

// maxAnswerBytes bounds an answer.
const maxAnswerBytes = 64 << 20

// NewGRPC returns a client of a unary method, in plaintext. Each worker sends one of the requests
// again and again. There must be as many as workers: a gateway that finds two alike under way may
// ask its upstream once for both.
func NewGRPC(address, fullMethod string, requests []proto.Message) (Client, error) {
	client := &grpcClient{method: fullMethod}
	for _, request := range requests {
		wire, err := proto.Marshal(request)
		if err != nil {
			return nil, err
		}
		client.requests = append(client.requests, wire)
	}
	var err error
	for i := range client.connections {
		client.connections[i], err = grpc.NewClient(address,
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{}), grpc.MaxCallRecvMsgSize(maxAnswerBytes)))
		if err != nil {
			return nil, errors.Join(err, client.Close())
		}
	}
	return client, nil
}

type grpcClient struct {
	connections [Connections]*grpc.ClientConn
	method      string
	requests    [][]byte // by worker
}

func (c *grpcClient) Call(ctx context.Context, worker int) (int, error) {
	var size int
	err := c.connections[worker%Connections].Invoke(ctx, c.method, c.requests[worker], &size)
	return size, err
}

func (c *grpcClient) Close() error {
	var errs []error
	for _, connection := range c.connections {
		if connection != nil {
			errs = append(errs, connection.Close())
		}
	}
	return errors.Join(errs...)
}

// rawCodec sends bytes and counts those that come.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("marshal: must be bytes, is %T", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(b)}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	size, ok := v.(*int)
	if !ok {
		return fmt.Errorf("unmarshal: must be an int, is %T", v)
	}
	*size = data.Len()
	return nil
}

// NewHTTP returns a client that gets one URL, again and again, each worker over a connection of
// its own.
func NewHTTP(url string) Client {
	return &httpClient{url: url, transport: &http.Transport{MaxIdleConnsPerHost: 1024, DisableCompression: true}}
}

type httpClient struct {
	url       string
	transport *http.Transport
}

func (c *httpClient) Call(ctx context.Context, _ int) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		return 0, err
	}
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read to its end, or failed already
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s", c.url, resp.Status)
	}
	return int(n), err
}

func (c *httpClient) Close() error {
	c.transport.CloseIdleConnections()
	return nil
}
