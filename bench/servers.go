package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"samsara.internal/gateway/bench/internal/fleet"
	"samsara.internal/gateway/bench/internal/peer"
	"samsara.internal/gateway/bench/internal/surface"
)

// servers are the processes of one step of a round: the upstream, and the servers that fetch from it.
type servers struct {
	*harness

	self, folder string
	url          string
	started      []*process
}

// open starts the upstream. close must be called even if it fails.
func (h *harness) open(ctx context.Context) (*servers, error) {
	s := &servers{harness: h}
	var err error
	if s.folder, err = os.MkdirTemp("", "bench"); err != nil {
		return s, err
	}
	if s.self, err = os.Executable(); err != nil {
		return s, err
	}
	if err := os.WriteFile(s.token(), []byte("token"), 0o600); err != nil {
		return s, err
	}
	upstream, err := s.begin(ctx, s.self, "serve", peer.Upstream)
	if err == nil {
		s.url = "http://" + upstream.address
	}
	return s, err
}

func (s *servers) token() string { return filepath.Join(s.folder, "token") }

// close ends every process, the upstream last.
func (s *servers) close() error {
	var errs []error
	for _, p := range slices.Backward(s.started) {
		errs = append(errs, p.stop())
	}
	return errors.Join(append(errs, os.RemoveAll(s.folder))...)
}

func (s *servers) begin(ctx context.Context, path string, args ...string) (*process, error) {
	p, err := start(ctx, path, args...)
	if err == nil {
		s.started = append(s.started, p)
	}
	return p, err
}

// peer starts a server of package peer.
func (s *servers) peer(ctx context.Context, name string, flags ...string) (*process, error) {
	return s.begin(ctx, s.self, slices.Concat([]string{"serve", "--upstream=" + s.url}, flags, []string{name})...)
}

// gateway starts a build of the gateway with default settings, except for flags. It leaves out flags that
// the build does not know.
func (s *servers) gateway(ctx context.Context, name string, flags ...string) (*process, error) {
	return s.begin(ctx, s.builds[name].Path, s.arguments(name, flags...)...)
}

func (s *servers) arguments(name string, flags ...string) []string {
	return append(
		[]string{"--listen=127.0.0.1:0", "--upstream-url=" + s.url, "--api-token-file=" + s.token()},
		s.builds[name].Known(append([]string{"--admin-listen=127.0.0.1:0"}, flags...)...)...)
}

// admitted are the flags of a gateway whose quota admits every call without a wait.
func (s *servers) admitted(name string) ([]string, error) {
	method, err := s.builds[name].Unary(fleet.Stats)
	if err != nil {
		return nil, err
	}
	const plenty = "100000/s"
	return []string{"--quota-token-limit=" + plenty, "--quota-organization-limit=" + plenty, "--quota-limits=" + method[1:] + "=" + plenty}, nil
}

// any starts a server, a gateway with flags.
func (s *servers) any(ctx context.Context, name string, flags ...string) (*process, error) {
	if s.builds[name] != nil {
		return s.gateway(ctx, name, flags...)
	}
	return s.peer(ctx, name)
}

// stats returns the method of a server that serves fleet.Stats over gRPC.
func (s *servers) stats(ctx context.Context, name string, p *process) (surface.Method, error) {
	build := s.builds[name]
	if build == nil {
		return s.local, nil
	}
	method, err := build.Unary(fleet.Stats)
	if err != nil {
		return surface.Method{}, err
	}
	return reflected(ctx, p, method)
}

func reflected(ctx context.Context, p *process, name string, options ...grpc.DialOption) (m surface.Method, err error) {
	connection, err := grpc.NewClient(p.address, append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		return surface.Method{}, err
	}
	defer func() { err = errors.Join(err, connection.Close()) }()
	if m, err = surface.Reflect(ctx, connection, name); err != nil {
		return m, fmt.Errorf("%s: %w", p.address, err)
	}
	return m, nil
}

// requests returns requests for a body, a different one for each worker.
func requests(m surface.Method, b fleet.Body, workers int) ([][]byte, error) {
	all := make([][]byte, workers)
	for worker := range all {
		var err error
		if all[worker], err = m.Request(fleet.Request(b, worker)); err != nil {
			return nil, err
		}
	}
	return all, nil
}
