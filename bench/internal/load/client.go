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
)

// Connections is the least number of connections that a gRPC client spreads its workers over. The figures
// depend on it, so it is the same for all servers.
const Connections = 4

// maxCallsPerConnection is how many workers share a connection at most. Servers admit more.
const maxCallsPerConnection = 500

// maxAnswerBytes bounds an answer.
const maxAnswerBytes = 64 << 20

// GRPC is a client of a method, in plaintext.
type GRPC struct {
	connections []*grpc.ClientConn
	method      string
	requests    [][]byte // by worker
}

// NewGRPC returns a client. Each of its workers sends one of the requests again and again. A request is the
// wire form of a message. Further options are for each connection.
func NewGRPC(address, fullMethod string, requests [][]byte, options ...grpc.DialOption) (*GRPC, error) {
	client := &GRPC{method: fullMethod, requests: requests}
	for range max(Connections, (len(requests)+maxCallsPerConnection-1)/maxCallsPerConnection) {
		connection, err := grpc.NewClient(address, append([]grpc.DialOption{
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{}), grpc.MaxCallRecvMsgSize(maxAnswerBytes)),
		}, options...)...)
		if err != nil {
			return nil, errors.Join(err, client.Close())
		}
		client.connections = append(client.connections, connection)
	}
	return client, nil
}

func (c *GRPC) connection(worker int) *grpc.ClientConn {
	return c.connections[worker%len(c.connections)]
}

// Call implements Client.
func (c *GRPC) Call(ctx context.Context, worker int) (int, error) {
	var size int
	err := c.connection(worker).Invoke(ctx, c.method, c.requests[worker], &size)
	return size, err
}

// Fetch is Call, but returns the answer.
func (c *GRPC) Fetch(ctx context.Context, worker int) ([]byte, error) {
	var answer []byte
	err := c.connection(worker).Invoke(ctx, c.method, c.requests[worker], &answer)
	return answer, err
}

// Close implements Client.
func (c *GRPC) Close() error {
	var errs []error
	for _, connection := range c.connections {
		errs = append(errs, connection.Close())
	}
	return errors.Join(errs...)
}

// Bearer is a token that a client sends with each call, in plaintext too.
type Bearer string

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (b Bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (b Bearer) RequireTransportSecurity() bool { return false }

// rawCodec sends bytes, and counts or keeps the bytes that it receives.
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
	switch v := v.(type) {
	case *int:
		*v = data.Len()
	case *[]byte:
		*v = data.Materialize()
	default:
		return fmt.Errorf("unmarshal: must be an int or bytes, is %T", v)
	}
	return nil
}

// NewHTTP returns a client that gets one URL again and again. Each worker has a connection of its own.
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
