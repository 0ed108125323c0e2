// Command conformance is the server that the runner of connectrpc.com/conformance tests, see
// make conformance: the reference service behind the gateway's codec, server options, interceptors
// and metrics. The runner says in standard input what server it wants, is told in standard output
// where that listens, and ends it by SIGTERM.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"connectrpc.com/conformance/reference"
	"google.golang.org/grpc/credentials"

	"samsara.internal/gateway/internal/telemetry"
	"samsara.internal/gateway/service"
	"samsara.internal/gateway/upstream"
)

// stopGrace is how long running calls may take after the runner ends the server.
const stopGrace = 3 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdin, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		stop()
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

// run runs the server that the runner asks for until ctx ends.
func run(ctx context.Context, in io.Reader, out, log io.Writer) error {
	want, err := reference.ReadRequest(in)
	if err != nil {
		return err
	}
	server, err := newServer(want, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		return fmt.Errorf("listener: must have a TCP address, has %T", listener.Addr())
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	response := &reference.Response{Host: address.IP.String(), Port: uint32(address.Port), PemCert: want.GetServerCreds().GetCert()}
	if err := reference.WriteResponse(out, response); err != nil {
		return err
	}
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	return server.Stop(grace)
}

// newServer returns a server like that of cmd/gateway, without an upstream.
func newServer(want *reference.Request, log *slog.Logger) (*service.Server, error) {
	metrics, err := telemetry.New(telemetry.Options{})
	if err != nil {
		return nil, err
	}
	creds, err := newCredentials(want)
	if err != nil {
		return nil, err
	}
	server, err := service.New(service.Config{
		Upstream:    noUpstream{},
		Logger:      log,
		Credentials: creds,
		Streams:     metrics,
		Finished: func(_ context.Context, f *service.Finished) {
			metrics.CallEnded(telemetry.Call{Method: f.Method, Code: f.Code.String(), Duration: f.Duration})
		},
		MaxRequestBytes: int(want.GetMessageReceiveLimit()),
	})
	if err != nil {
		return nil, err
	}
	reference.Register(server)
	return server, nil
}

// newCredentials returns the credentials of the server, nil for a server without TLS.
func newCredentials(want *reference.Request) (credentials.TransportCredentials, error) {
	if !want.GetUseTls() {
		return nil, nil
	}
	pair, err := tls.X509KeyPair(want.GetServerCreds().GetCert(), want.GetServerCreds().GetKey())
	if err != nil {
		return nil, fmt.Errorf("server_creds: %w", err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if authority := want.GetClientTlsCert(); len(authority) > 0 {
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		if !config.ClientCAs.AppendCertsFromPEM(authority) {
			return nil, errors.New("client_tls_cert: must hold a certificate in PEM")
		}
	}
	return credentials.NewTLS(config), nil
}

// noUpstream is the upstream of a server without operations.
type noUpstream struct{}

// Operation implements service.Upstream.
func (noUpstream) Operation(upstream.OperationSpec) (*upstream.Operation, error) {
	return new(upstream.Operation), nil
}

// Do implements service.Upstream.
func (noUpstream) Do(context.Context, *upstream.Operation, upstream.Request) (*upstream.Response, error) {
	return nil, errors.New("there is no upstream")
}
