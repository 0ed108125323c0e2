package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"samsara.internal/gateway/internal/config"
	"samsara.internal/gateway/internal/reload"
)

func healthUsage() string {
	return `Health asks a gateway by gRPC's health service whether it takes calls. It prints the answer. The exit code
is 0 if it does, and 1 if not, or if there is no answer in time.

Usage:
  gateway health [flags]

Without --address it asks the gateway that this machine's environment, a --config file and the settings that
are given as flags describe, as gateway config check would read them: where it listens, and whether with TLS.
The certificate of such a gateway is not verified, unless there is a --ca-file: nothing secret is sent. If it
wants a certificate of its clients, it is shown its own, unless there is a --cert-file.
` + config.HealthUsage()
}

// askHealth prints whether a gateway takes calls, and returns an error if it does not.
func askHealth(ctx context.Context, args, environ []string, stdout io.Writer) error {
	cfg, err := config.LoadHealth(args, environ)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	secured := insecure.NewCredentials()
	if cfg.TLS {
		how, err := healthTLS(&cfg)
		if err != nil {
			return err
		}
		secured = credentials.NewTLS(how)
	}
	conn, err := grpc.NewClient("passthrough:///"+cfg.Address, grpc.WithTransportCredentials(secured), grpc.WithNoProxy())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // It has been used.
	answer, err := healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{Service: cfg.Service})
	switch {
	case status.Code(err) == codes.NotFound:
		return fmt.Errorf("the gateway at %s has no service %q", cfg.Address, cfg.Service)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("no gateway answers at %s within %v", cfg.Address, cfg.Timeout)
	case err != nil:
		return fmt.Errorf("no gateway answers at %s: %s", cfg.Address, status.Convert(err).Message())
	case answer.GetStatus() != healthv1.HealthCheckResponse_SERVING:
		return fmt.Errorf("the gateway at %s is %v", cfg.Address, answer.GetStatus())
	}
	_, err = fmt.Fprintln(stdout, answer.GetStatus())
	return err
}

// healthTLS returns how to connect with TLS.
func healthTLS(cfg *config.Health) (*tls.Config, error) {
	how := &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: cfg.ServerName,
		// The files may be newer than what the gateway beside uses, and bad. What is asked and answered is no secret.
		InsecureSkipVerify: cfg.Beside && cfg.CAFile == "", //nolint:gosec // as above
	}
	var err error
	if cfg.CAFile != "" {
		if how.RootCAs, err = readAuthorities(cfg.CAFile); err != nil {
			return nil, fmt.Errorf("--ca-file: %w", err)
		}
	}
	if cfg.CertFile == "" {
		return how, nil
	}
	chain, err := reload.ReadFile(cfg.CertFile, maxPEMBytes)
	if err != nil {
		return nil, err
	}
	key, err := reload.ReadFile(cfg.KeyFile, maxPEMBytes)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.CertFile, err)
	}
	how.Certificates = []tls.Certificate{pair}
	return how, nil
}
