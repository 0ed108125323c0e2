package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	vehiclesv1 "samsara.internal/gateway/gen/vehicles/v1"
	"samsara.internal/gateway/internal/testenv"
)

// connect returns a client connection that does not retry.
func connect(t *testing.T, address string, creds credentials.TransportCredentials, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, append(options, grpc.WithTransportCredentials(creds), grpc.WithDisableRetry())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return conn
}

func get(t *testing.T, url, token string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestGateway_probesMetricsAndCalls(t *testing.T) {
	t.Parallel()
	began := time.Now()
	p, at := startSandboxed(t)
	t.Logf("from start to serving: %v", time.Since(began).Round(time.Millisecond))
	conn := connect(t, at.GRPC, insecure.NewCredentials())

	health, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil || health.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Errorf("health: got %v, %v, want SERVING", health, err)
	}
	vehicles, err := vehiclesv1.NewVehiclesServiceClient(conn).ListVehicles(t.Context(), &vehiclesv1.ListVehiclesRequest{})
	if err != nil || len(vehicles.GetData()) == 0 {
		t.Errorf("ListVehicles: got %d vehicles, %v", len(vehicles.GetData()), err)
	}
	_, err = apiv1.NewPassthroughServiceClient(conn).Call(t.Context(), &apiv1.CallRequest{})
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("passthrough without --passthrough: got %v, want Unimplemented", err)
	}

	if code, body := get(t, "http://"+at.Admin+"/readyz", ""); code != http.StatusOK {
		t.Errorf("/readyz: got %d %q", code, body)
	}
	_, text := get(t, "http://"+at.Admin+"/metrics", "")
	for _, want := range []string{
		`samsara_gateway_calls_total{code="OK",operation="VehiclesService/ListVehicles"} 1`,
		`samsara_gateway_upstream_attempts_total{class="2xx",organization="default"} 1`,
		`samsara_gateway_operation_upstream_attempts_total{operation="VehiclesService/ListVehicles"} 1`,
		`samsara_gateway_build_info{`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	p.stop(t)
	if _, err := net.DialTimeout("tcp", at.GRPC, patience); err == nil {
		t.Error("the port still accepts connections after the gateway has stopped")
	}
}

func TestSandboxFault_byFlagAndMetadata(t *testing.T) {
	t.Parallel()
	_, at := startSandboxed(t, "--retry-base-delay=1ms", "--sandbox-fault=status=500; match=/tags")
	client := vehiclesv1.NewVehiclesServiceClient(connect(t, at.GRPC, insecure.NewCredentials()))

	ctx := metadata.AppendToOutgoingContext(t.Context(), "samsara-sandbox-fault", "status=503; first=2")
	for range 2 { // The fault hits the first two attempts of each call.
		var header metadata.MD
		if _, err := client.ListVehicles(ctx, &vehiclesv1.ListVehiclesRequest{}, grpc.Header(&header)); err != nil {
			t.Errorf("ListVehicles: %v", err)
		}
		if got := strings.Join(header.Get("samsara-attempts"), " "); got != "3" {
			t.Errorf("samsara-attempts: got %q, want 3", got)
		}
	}
	ctx = metadata.AppendToOutgoingContext(t.Context(), "samsara-sandbox-fault", "status=503")
	if _, err := client.ListVehicles(ctx, &vehiclesv1.ListVehiclesRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("ListVehicles with a lasting fault: got %v, want Unavailable", err)
	}
}

func TestSandboxFault_drift(t *testing.T) {
	t.Parallel()
	_, at := startSandboxed(t)
	client := vehiclesv1.NewVehiclesServiceClient(connect(t, at.GRPC, insecure.NewCredentials()))
	ctx := metadata.AppendToOutgoingContext(t.Context(), "samsara-sandbox-fault", "drift")

	var trailer metadata.MD
	res, err := client.GetVehicle(ctx, &vehiclesv1.GetVehicleRequest{Id: proto.String("281474976710657")}, grpc.Trailer(&trailer))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(trailer.Get("samsara-drift"), " "); got != "Vehicle.sandboxDrift=unknown" || res.GetData().GetId() != "281474976710657" {
		t.Errorf("GetVehicle: got samsara-drift %q and vehicle %q, want Vehicle.sandboxDrift=unknown and the vehicle", got, res.GetData().GetId())
	}
	if _, err := client.ListVehicles(ctx, &vehiclesv1.ListVehiclesRequest{Limit: proto.Int32(5)}, grpc.Trailer(&trailer)); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(trailer.Get("samsara-drift"), " "); got != "VehicleObject.sandboxDrift=unknown;n=5" {
		t.Errorf("ListVehicles: got samsara-drift %q, want VehicleObject.sandboxDrift=unknown;n=5", got)
	}
}

func TestPassthrough_anyPath(t *testing.T) {
	t.Parallel()
	_, at := startSandboxed(t, "--passthrough")
	client := apiv1.NewPassthroughServiceClient(connect(t, at.GRPC, insecure.NewCredentials()))
	method, path := "GET", "/fleet/vehicles"
	res, err := client.Call(t.Context(), &apiv1.CallRequest{Method: &method, Path: &path})
	if err != nil {
		t.Fatal(err)
	}
	if res.GetStatus() != http.StatusOK || !json.Valid([]byte(res.GetBody())) {
		t.Errorf("got status %d, body %q", res.GetStatus(), res.GetBody())
	}
}

func TestTLS_served(t *testing.T) {
	t.Parallel()
	cert, key, pool := selfSigned(t)
	_, at := startSandboxed(t, "--tls-cert-file", cert, "--tls-key-file", key)
	check := func(creds credentials.TransportCredentials) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		_, err := healthv1.NewHealthClient(connect(t, at.GRPC, creds)).Check(ctx, &healthv1.HealthCheckRequest{})
		return err
	}
	if err := check(credentials.NewClientTLSFromCert(pool, "localhost")); err != nil {
		t.Errorf("with TLS: %v", err)
	}
	if err := check(insecure.NewCredentials()); status.Code(err) != codes.Unavailable {
		t.Errorf("in plaintext: got %v, want Unavailable", err)
	}
}

// TestIdentity_fromCertificate has a client wait for the quota, whose state names the callers that wait.
func TestIdentity_fromCertificate(t *testing.T) {
	t.Parallel()
	const name = "spiffe://acme.example/billing"
	certFile, keyFile, pool := selfSigned(t, name)
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	_, at := startSandboxed(t, "--tls-cert-file", certFile, "--tls-key-file", keyFile, "--tls-client-ca-file", certFile,
		"--quota-limits=samsara_gateway.contacts.v1.*=1/min", "--quota-max-wait=5m")
	call := func(ctx context.Context, cfg *tls.Config) error {
		return getContact(connect(t, at.GRPC, credentials.NewTLS(cfg)))(metadata.AppendToOutgoingContext(ctx, "samsara-caller", name+"/report"), 0)
	}
	anonymous := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: "localhost", RootCAs: pool}
	certified := anonymous.Clone()
	certified.Certificates = []tls.Certificate{cert}
	if err := call(waiting(t), anonymous); status.Code(err) != codes.Unavailable {
		t.Errorf("without a certificate: got %v, want Unavailable", err)
	}
	if err := call(waiting(t), certified); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var waiter sync.WaitGroup
	waiter.Go(func() { _ = call(ctx, certified) })
	eventually(t, "the second call waits in the name of "+name, func() bool {
		waiters := quotaAt(t, at.Admin).Waiters
		return len(waiters) == 1 && waiters[0].Caller == name
	})
	cancel()
	waiter.Wait()
}

// selfSigned writes a certificate for localhost and for names, which are URIs, and its key. It returns a
// pool that trusts the certificate.
func selfSigned(t *testing.T, names ...string) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	return certified(t, time.Now().Add(time.Hour), names...)
}

// certified is selfSigned for a certificate that expires at until.
func certified(t *testing.T, until time.Time, names ...string) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost", upstreamName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
	}
	for _, name := range names {
		uri, err := url.Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		template.URIs = append(template.URIs, uri)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for file, text := range map[string][]byte{
		certFile: certificate, keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(certificate)
	return certFile, keyFile, pool
}

func TestSandbox_alone(t *testing.T) {
	t.Parallel()
	p := start(t, "sandbox", "--listen=127.0.0.1:0", "--token=open", "--log-format=json")
	url := p.await(t, "serving").Sandbox
	if code, body := get(t, url+"/fleet/vehicles", "open"); code != http.StatusOK || !json.Valid([]byte(body)) {
		t.Errorf("with the token: got %d %q", code, body)
	}
	if code, body := get(t, url+"/fleet/vehicles", "wrong"); code != http.StatusUnauthorized {
		t.Errorf("with another token: got %d %q", code, body)
	}
	p.signal(t, syscall.SIGINT)
	if exit := p.wait(t); exit != nil {
		t.Errorf("ended with %v", exit)
	}
}

// TestSIGTERM_underLoad has clients call without pause while the gateway is told to stop. Every call that
// the gateway accepted must succeed, also at the client. Every call that began before the signal was
// accepted.
func TestSIGTERM_underLoad(t *testing.T) {
	t.Parallel()
	p, at := startSandboxed(t, "--sandbox-fault=latency=50ms", "--log-level=debug") // At debug it logs every call.
	const clients, warm = 16, 100
	var signalled atomic.Bool
	var succeeded atomic.Int64
	enough := make(chan struct{})
	var all sync.WaitGroup
	var ready []vehiclesv1.VehiclesServiceClient
	for range clients {
		client := vehiclesv1.NewVehiclesServiceClient(connect(t, at.GRPC, insecure.NewCredentials()))
		// The first call connects. A call that has to connect may find the gateway gone, even if it began
		// in time.
		if _, err := client.ListVehicles(t.Context(), &vehiclesv1.ListVehiclesRequest{}); err != nil {
			t.Fatal(err)
		}
		succeeded.Add(1)
		ready = append(ready, client)
	}
	for _, client := range ready {
		all.Go(func() {
			for {
				late := signalled.Load()
				_, err := client.ListVehicles(t.Context(), &vehiclesv1.ListVehiclesRequest{})
				switch {
				case err == nil:
					if succeeded.Add(1) == warm {
						close(enough)
					}
				case late && status.Code(err) == codes.Unavailable:
					return
				default:
					t.Errorf("a call begun before the signal (%t) failed: %v", !late, err)
					return
				}
			}
		})
	}
	<-enough
	signalled.Store(true)
	p.stop(t)
	all.Wait()

	served := int64(0)
	lines, _, _ := p.log()
	for _, line := range lines {
		if line.Method != vehiclesv1.VehiclesService_ListVehicles_FullMethodName {
			continue
		}
		if line.Code != "OK" {
			t.Errorf("the gateway logged a call with code %s", line.Code)
		}
		served++
	}
	if served != succeeded.Load() {
		t.Errorf("the gateway served %d calls, the clients saw %d of them succeed", served, succeeded.Load())
	}
	t.Logf("%d calls, none failed", served)
}

func TestSIGTERM_twice(t *testing.T) {
	t.Parallel()
	p, at := startSandboxed(t, "--sandbox-fault=latency=5m", "--log-level=debug")
	client := vehiclesv1.NewVehiclesServiceClient(connect(t, at.GRPC, insecure.NewCredentials()))
	failed := make(chan error, 1)
	go func() {
		_, err := client.ListVehicles(t.Context(), &vehiclesv1.ListVehiclesRequest{})
		failed <- err
	}()
	awaitInFlight(t, at.Admin)
	p.signal(t, syscall.SIGTERM)
	p.await(t, "stopping")
	p.signal(t, syscall.SIGTERM)
	exit := p.wait(t)
	if exit == nil {
		t.Fatal("the gateway exited with code 0 while a call was running")
	}
	if ws, ok := exit.Sys().(syscall.WaitStatus); !ok || ws.Signal() != syscall.SIGTERM {
		t.Errorf("ended with %v, want by SIGTERM", exit)
	}
	if err := <-failed; status.Code(err) != codes.Unavailable {
		t.Errorf("the running call: got %v, want Unavailable", err)
	}
}

func TestSIGTERM_callsBeyondTheGracePeriod(t *testing.T) {
	t.Parallel()
	p, at := startSandboxed(t, "--sandbox-fault=latency=5m", "--shutdown-grace=50ms")
	client := vehiclesv1.NewVehiclesServiceClient(connect(t, at.GRPC, insecure.NewCredentials()))
	failed := make(chan error, 1)
	go func() {
		_, err := client.ListVehicles(t.Context(), &vehiclesv1.ListVehiclesRequest{})
		failed <- err
	}()
	awaitInFlight(t, at.Admin)
	p.signal(t, syscall.SIGTERM)
	if exit := p.wait(t); exit == nil || exit.ExitCode() != 1 {
		t.Errorf("ended with %v, want exit code 1", exit)
	}
	if err := <-failed; err == nil {
		t.Error("the call succeeded")
	}
}

// awaitInFlight waits until the metrics of the gateway show a call in flight.
func awaitInFlight(t *testing.T, admin string) {
	t.Helper()
	eventually(t, "a call begins", func() bool {
		return metric(t, admin, "samsara_gateway_running_calls") == 1
	})
}

// eventually waits until holds returns true. It fails the test if that takes longer than patience.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("this did not happen in time: %s", what)
		}
	}
}

// metric returns the sum of the series of a metric that have all these labels.
func metric(t *testing.T, admin, name string, labels ...string) float64 {
	t.Helper()
	_, text := get(t, "http://"+admin+"/metrics", "")
	sum := 0.0
	for line := range strings.Lines(text) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		series, has, _ := strings.Cut(series, "{")
		if series != name || slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(has, l) }) {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("metric %s: %v", name, err)
		}
		sum += n
	}
	return sum
}

// inFlight returns the memory of answers that are under way.
func inFlight(t *testing.T, admin string) float64 {
	t.Helper()
	return metric(t, admin, "samsara_gateway_memory_bytes") - metric(t, admin, "samsara_gateway_memory_bytes", `holder="requests"`)
}

// output runs a client program and returns what it printed on standard output and error.
func output(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, testenv.Tool(t, name), args...).CombinedOutput()
	return string(out), err
}

func TestGrpcurl_exploresAndCalls(t *testing.T) {
	t.Parallel()
	testenv.Tool(t, "grpcurl")
	_, at := startSandboxed(t)
	const method = "samsara_gateway.vehicles.v1.VehiclesService/GetVehicle"
	for _, test := range []struct {
		name  string
		args  []string
		fails bool
		want  []string
	}{
		{
			name: "services are listed", args: []string{at.GRPC, "list"},
			want: []string{"samsara_gateway.vehicles.v1.VehiclesService\n", "samsara_gateway.legacy.v1.LegacyService\n", "grpc.health.v1.Health\n"},
		},
		{
			name: "a method is described with its annotation", args: []string{at.GRPC, "describe", "samsara_gateway.vehicles.v1.VehiclesService.GetVehicle"},
			want: []string{"rpc GetVehicle ( .samsara_gateway.vehicles.v1.GetVehicleRequest )", "/fleet/vehicles/{id}"},
		},
		{
			name: "a call is answered, with the number of attempts", args: []string{"-v", at.GRPC, "samsara_gateway.vehicles.v1.VehiclesService/ListVehicles"},
			want: []string{`"data": [`, `"vin": "`, "samsara-attempts: 1", "samsara-request-id: "},
		},
		{
			name: "an unknown id is an error with details", args: []string{"-d", `{"id": "nope"}`, at.GRPC, method}, fails: true,
			want: []string{"Code: NotFound", `"reason": "NOT_FOUND"`, `"domain": "samsara.com"`, `"path": "/fleet/vehicles/{id}"`},
		},
		{
			name: "a required field that is missing is named", args: []string{"-d", `{}`, at.GRPC, method}, fails: true,
			want: []string{"Code: InvalidArgument", `"field": "id"`, "is required"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			out, err := output(t, "grpcurl", append([]string{"-plaintext"}, test.args...)...)
			if (err != nil) != test.fails {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, want := range test.want {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in:\n%s", want, out)
				}
			}
		})
	}
}

func TestGhz_noError(t *testing.T) {
	t.Parallel()
	testenv.Tool(t, "ghz")
	_, at := startSandboxed(t)
	out, err := output(t, "ghz", "--insecure", "--call", "samsara_gateway.vehicles.v1.VehiclesService.ListVehicles",
		"-n", "500", "-c", "20", "--format", "json", at.GRPC)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var report struct {
		Count  int            `json:"count"`
		Codes  map[string]int `json:"statusCodeDistribution"`
		Errors map[string]int `json:"errorDistribution"`
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if report.Count != 500 || report.Codes["OK"] != 500 || len(report.Errors) != 0 {
		t.Errorf("got %+v, want 500 calls, all OK", report)
	}
}
