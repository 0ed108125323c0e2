package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"samsara.internal/gateway/internal/telemetry"
)

// TestAdmin_secured serves the admin address by TLS, and looks at it by the command quota too.
func TestAdmin_secured(t *testing.T) {
	t.Parallel()
	authority := newTestAuthority(t)
	cert, key := authority.server(t)
	certFile, keyFile := tokenFile(t, cert), tokenFile(t, key)
	p, at := startSandboxed(t, "--admin-tls-cert-file", certFile, "--admin-tls-key-file", keyFile, "--tls-min-version=1.3")
	pool := x509.NewCertPool()
	pool.AddCert(authority.cert)
	ask := func(path string, most uint16) (int, string, error) {
		client := &http.Client{Transport: &http.Transport{
			DisableKeepAlives: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: most, RootCAs: pool, ServerName: "localhost"},
		}}
		req, err := http.NewRequestWithContext(waiting(t), http.MethodGet, "https://"+at.Admin+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			return 0, "", err
		}
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		return resp.StatusCode, string(text), err
	}
	if code, text, err := ask("/readyz", tls.VersionTLS13); err != nil || code != 200 || text != "ready\n" {
		t.Errorf("/readyz: got %d %q, %v", code, text, err)
	}
	if _, _, err := ask("/readyz", tls.VersionTLS12); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("by TLS 1.2: got %v, want it refused", err)
	}
	if _, text, err := ask("/metrics", 0); err != nil || !strings.Contains(text, `samsara_gateway_certificate_not_after_timestamp_seconds{certificate="admin"}`) {
		t.Errorf("the metrics lack the admin address's certificate: %v", err)
	}
	conn := connect(t, at.GRPC, insecure.NewCredentials())
	if _, err := healthv1.NewHealthClient(conn).Check(waiting(t), &healthv1.HealthCheckRequest{}); err != nil {
		t.Fatal(err)
	}
	_, text, err := ask("/channelz", 0)
	var answer struct {
		Servers []struct {
			CallsSucceeded int64
			Connections    []struct{ Remote string }
		}
	}
	if err != nil || json.Unmarshal([]byte(text), &answer) != nil || len(answer.Servers) != 1 || len(answer.Servers[0].Connections) != 1 ||
		!strings.HasPrefix(answer.Servers[0].Connections[0].Remote, "127.0.0.1:") || answer.Servers[0].CallsSucceeded < 1 {
		t.Errorf("/channelz: got %v\n%s", err, text)
	}
	out, err := output(t, "gateway", "quota", "--admin", "https://"+strings.Replace(at.Admin, "127.0.0.1", "localhost", 1), "--ca-file", tokenFile(t, authority.pem))
	if err != nil || !strings.Contains(out, "token") {
		t.Errorf("gateway quota: %v\n%s", err, out)
	}
	p.stop(t)
	if _, text, _ := p.log(); !strings.Contains(text, "certificate expires soon") {
		t.Error("the log does not warn of a certificate that is good for an hour")
	}
}

// TestTLS_leastVersion connects by TLS 1.2 where 1.3 is the least.
func TestTLS_leastVersion(t *testing.T) {
	t.Parallel()
	files, pool := newPEMFiles(t)
	_, at := startSandboxed(t, "--tls-cert-file", files.cert, "--tls-key-file", files.key, "--tls-min-version=1.3")
	for version, want := range map[uint16]codes.Code{tls.VersionTLS12: codes.Unavailable, tls.VersionTLS13: codes.OK} {
		creds := credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: version, ServerName: "localhost", RootCAs: pool})
		_, err := healthv1.NewHealthClient(connect(t, at.GRPC, creds)).Check(waiting(t), &healthv1.HealthCheckRequest{})
		if status.Code(err) != want {
			t.Errorf("%s: got %v, want %v", tls.VersionName(version), err, want)
		}
	}
}

// TestChannelz_security looks at a connection that has TLS.
func TestChannelz_security(t *testing.T) {
	t.Parallel()
	files, pool := newPEMFiles(t)
	_, at := startSandboxed(t, "--tls-cert-file", files.cert, "--tls-key-file", files.key)
	creds := credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS13, ServerName: "localhost", RootCAs: pool})
	if _, err := healthv1.NewHealthClient(connect(t, at.GRPC, creds)).Check(waiting(t), &healthv1.HealthCheckRequest{}); err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Servers []struct{ Connections []struct{ Cipher string } }
	}
	_, text := get(t, "http://"+at.Admin+"/channelz", "")
	if err := json.Unmarshal([]byte(text), &answer); err != nil || len(answer.Servers) != 1 || len(answer.Servers[0].Connections) != 1 ||
		!strings.HasPrefix(answer.Servers[0].Connections[0].Cipher, "TLS_") {
		t.Errorf("got %v\n%s", err, text)
	}
}

// TestWarnOfExpiry_onceADay has one certificate that expires soon, and one that does not.
func TestWarnOfExpiry_onceADay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		ctx, stop := context.WithCancel(t.Context())
		now := time.Now()
		var running sync.WaitGroup
		running.Go(func() {
			warnOfExpiry(ctx, func() []telemetry.Certificate {
				return []telemetry.Certificate{{Name: "server", NotAfter: now.Add(16*24*time.Hour - time.Minute)}, {Name: "client_ca", NotAfter: now.Add(time.Hour)}}
			}, slog.New(slog.NewTextHandler(&log, nil)))
		})
		time.Sleep(71 * time.Hour) //nolint:forbidigo // virtual
		stop()
		running.Wait()
		if server, authority := strings.Count(log.String(), "certificate=server"), strings.Count(log.String(), "certificate=client_ca"); server != 1 || authority != 3 {
			t.Errorf("%d and %d warnings in three days, want 1 and 3:\n%s", server, authority, &log)
		}
	})
}
