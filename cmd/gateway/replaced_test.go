package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"

	tagsv1 "samsara.internal/gateway/gen/tags/v1"
	"samsara.internal/gateway/internal/testenv"
)

// replacements is how often each file is replaced.
const replacements = 20

// TestCallers_replacedUnderLoad replaces certificate, key, authorities, static tokens, keys, policy, organizations and
// Samsara's token while ghz calls over connections that stay, and another client connects anew for each call. No call fails.
func TestCallers_replacedUnderLoad(t *testing.T) {
	t.Parallel()
	const static, first, second = "sgw_a-static-token-of-billing", "token-1", "token-2"
	servers, clients, others := newTestAuthority(t), newTestAuthority(t), newTestAuthority(t)
	signer, other := newTestSigner(t, "good"), newTestSigner(t, "other")
	files := newGuardedFiles(t, servers, clients, tokenLine("billing", static), keySet(t, signer))
	upstream := startTokenUpstream(t, first, second)
	token := tokenFile(t, first)
	// organizations returns the entries of version n of the file: acme is made anew for its limit, and another one
	// comes and goes.
	organizations := func(n int) string {
		entries := fmt.Sprintf("  - {name: acme, token-file: %s, base-url: %s, default: true, token-limit: %d/s}\n", token, upstream.url, 1000+n)
		return entries + strings.Repeat(fmt.Sprintf("  - {name: other, token-file: %s, base-url: %s}\n", token, upstream.url), n%2)
	}
	p, at, organizationsFile := startOrganizations(t, organizations(0), files.tlsFlags("optional")...)

	id := "spiffe://acme.test/billing"
	certificate := clients.client(t, id, -time.Hour, time.Hour)
	key, _ := certificate.PrivateKey.(*ecdsa.PrivateKey)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	clientCert := tokenFile(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})))
	clientKey := tokenFile(t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	bearer := func(token string) []string {
		md := fmt.Sprintf(`{"authorization": "Bearer %s"}`, token)
		return []string{"-m", md, "--reflect-metadata", md}
	}
	loads := map[string][]string{
		"certificate":  {"--cert", clientCert, "--key", clientKey},
		"JWT":          bearer(signer.sign(t, nil)),
		"static token": bearer(static),
	}
	running := make(map[string]*exec.Cmd)
	reports := make(map[string]*strings.Builder)
	for name, flags := range loads {
		command := exec.CommandContext(t.Context(), testenv.Tool(t, "ghz"), append([]string{
			"--cacert", tokenFile(t, servers.pem), "--cname", "localhost", "--call", "samsara_gateway.tags.v1.TagsService.GetTag", "-d", `{"id": "1"}`,
			"-c", "6", "--connections", "3", "-z", "5m", "--rps", "500", "--format", "json",
		}, append(flags, at.GRPC)...)...)
		reports[name] = new(strings.Builder)
		command.Stdout, command.Stderr = reports[name], reports[name]
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		running[name] = command
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var connecting sync.WaitGroup
	connects := 0
	connecting.Go(func() {
		pool := x509.NewCertPool()
		pool.AddCert(servers.cert)
		cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: "localhost", RootCAs: pool, Certificates: []tls.Certificate{*certificate}}
		for ; ctx.Err() == nil; connects++ {
			conn, err := grpc.NewClient(at.GRPC, grpc.WithTransportCredentials(credentials.NewTLS(cfg)))
			if err == nil {
				_, err = tagsv1.NewTagsServiceClient(conn).GetTag(ctx, &tagsv1.GetTagRequest{Id: proto.String("1")})
				err = errors.Join(err, conn.Close())
			}
			if err != nil && ctx.Err() == nil {
				t.Errorf("a new connection, after %d: %v", connects, err)
				return
			}
		}
	})
	calls := func() float64 {
		return metric(t, at.Admin, "samsara_gateway_calls_total", `/GetTag"`, `code="OK"`)
	}
	changed := func(file string) float64 {
		return metric(t, at.Admin, "samsara_gateway_file_looks_total", `file="`+file+`"`, `result="changed"`)
	}
	eventually(t, "calls are made", func() bool { return calls() > 100 })
	for n := 1; n <= replacements; n++ {
		cert, key := servers.server(t)
		replace(t, files.key, key)
		replace(t, files.cert, cert)
		replace(t, files.ca, clients.pem+strings.Repeat(others.pem, n%2))
		replace(t, files.tokens, tokenLine("billing", static)+tokenLine("billing", fmt.Sprintf("sgw_another-token-%d", n)))
		replace(t, files.keys, keySet(t, append([]testSigner{signer}, []testSigner{other}[:n%2]...)...))
		replace(t, files.policy, fmt.Sprintf("# version %d\n%s", n, guardedPolicy))
		replace(t, token, []string{first, second}[n%2])
		replace(t, organizationsFile, "organizations:\n"+organizations(n))
		p.signal(t, syscall.SIGHUP)
		before := calls()
		eventually(t, fmt.Sprintf("replacement %d is taken up, and calls are made", n), func() bool {
			for _, file := range []string{"tls", "caller-tokens", "jwt-keys", "policy", "organizations"} {
				if changed(file) < float64(n) {
					return false
				}
			}
			return calls() > before+100
		})
	}
	stop()
	connecting.Wait()
	if connects < replacements {
		t.Errorf("%d connections were made, want %d at least", connects, replacements)
	}
	t.Logf("%d connections", connects)
	for name, command := range running {
		if err := command.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		_ = command.Wait() // What counts is what it reports.
		var report struct {
			Count                  int            `json:"count"`
			StatusCodeDistribution map[string]int `json:"statusCodeDistribution"`
			ErrorDistribution      map[string]int `json:"errorDistribution"`
		}
		if err := json.Unmarshal([]byte(reports[name].String()), &report); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, reports[name])
		}
		// Calls under way when ghz is told to end are its own to cancel.
		ended := report.ErrorDistribution["rpc error: code = Canceled desc = grpc: the client connection is closing"] +
			report.ErrorDistribution["rpc error: code = Unavailable desc = transport is closing"]
		if report.Count < 100 || ended > 6 || report.StatusCodeDistribution["OK"] != report.Count-ended {
			t.Errorf("%s: %d calls, of these %v, errors %v", name, report.Count, report.StatusCodeDistribution, report.ErrorDistribution)
		}
		t.Logf("%s: %d calls, %v", name, report.Count, report.StatusCodeDistribution)
	}
	p.stop(t)
}
