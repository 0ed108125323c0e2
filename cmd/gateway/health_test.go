package main

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"

	tagsv1 "samsara.internal/gateway/gen/tags/v1"
	"samsara.internal/gateway/internal/testenv"
)

// probe runs gateway health with variables in its environment, and returns its exit code and what it printed.
func probe(t *testing.T, env []string, args ...string) (code int, printed string) {
	t.Helper()
	cmd := exec.CommandContext(waiting(t), testenv.Tool(t, "gateway"), append([]string{"health"}, args...)...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// expectProbe checks the exit code of gateway health and that it printed a text.
func expectProbe(t *testing.T, what string, wantCode int, wantText string, env []string, args ...string) {
	t.Helper()
	if code, text := probe(t, env, args...); code != wantCode || !strings.Contains(text, wantText) {
		t.Errorf("%s: got exit code %d and %q, want %d and %q", what, code, text, wantCode, wantText)
	}
}

func TestHealth_followsTheGateway(t *testing.T) {
	t.Parallel()
	_, flags := startSandbox(t)
	p, at := startBefore(t, flags, "--drain-delay=10m")
	expectProbe(t, "serving", 0, "SERVING\n", nil, "--address", at.GRPC)
	expectProbe(t, "a service", 0, "SERVING\n", nil, "--address", at.GRPC, "--service", tagsv1.TagsService_ServiceDesc.ServiceName)
	expectProbe(t, "no such service", 1, `has no service "a.b"`, nil, "--address", at.GRPC, "--service", "a.b")
	expectProbe(t, "by the environment", 0, "SERVING\n", []string{"SAMSARA_GATEWAY_LISTEN=" + at.GRPC})
	_, port, err := net.SplitHostPort(at.GRPC)
	if err != nil {
		t.Fatal(err)
	}
	expectProbe(t, "beside one that listens everywhere", 0, "SERVING\n", []string{"SAMSARA_GATEWAY_LISTEN=:" + port})
	file := tokenFile(t, "listen: "+at.GRPC+"\nretry-max-attempts: many\nno-such-setting: 1\n")
	expectProbe(t, "by a file that is wrong elsewhere", 0, "SERVING\n", []string{"SAMSARA_GATEWAY_CONFIG=" + file})
	p.signal(t, syscall.SIGTERM)
	p.await(t, "stopping")
	expectProbe(t, "draining", 1, "is NOT_SERVING", nil, "--address", at.GRPC)
	p.signal(t, syscall.SIGTERM)
	if exit := p.wait(t); exit == nil {
		t.Error("a second signal did not end the gateway at once")
	}
	expectProbe(t, "gone", 1, "no gateway answers at "+at.GRPC, nil, "--address", at.GRPC)
}

// TestHealth_silent asks an address that takes connections and says nothing.
func TestHealth_silent(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	expectProbe(t, "silent", 1, "no gateway answers at "+l.Addr().String()+" within 100ms", nil,
		"--address", l.Addr().String(), "--timeout", "100ms")
}

func TestHealth_secured(t *testing.T) {
	t.Parallel()
	files, _ := newPEMFiles(t)
	strange, _ := newPEMFiles(t)
	server := []string{"--tls-cert-file", files.cert, "--tls-key-file", files.key}
	own := []string{"SAMSARA_GATEWAY_TLS_CERT_FILE=" + files.cert, "SAMSARA_GATEWAY_TLS_KEY_FILE=" + files.key}

	_, at := startSandboxed(t, server...)
	at.GRPC = strings.Replace(at.GRPC, "127.0.0.1", "localhost", 1)
	expectProbe(t, "authorities from a flag", 0, "SERVING\n", nil, "--address", at.GRPC, "--tls", "--ca-file", files.ca)
	expectProbe(t, "other authorities", 1, "certificate", nil, "--address", at.GRPC, "--tls", "--ca-file", strange.ca)
	expectProbe(t, "another name", 1, "certificate", nil, "--address", at.GRPC, "--tls", "--ca-file", files.ca, "--server-name", "elsewhere.test")
	expectProbe(t, "no TLS", 1, "no gateway answers", nil, "--address", at.GRPC)
	expectProbe(t, "by the environment", 0, "SERVING\n", append(own, "SAMSARA_GATEWAY_LISTEN="+at.GRPC))
	expectProbe(t, "by the environment, verified", 1, "certificate", append(own, "SAMSARA_GATEWAY_LISTEN="+at.GRPC), "--ca-file", strange.ca)

	_, at = startSandboxed(t, append(server, "--tls-client-ca-file", files.ca)...)
	at.GRPC = strings.Replace(at.GRPC, "127.0.0.1", "localhost", 1)
	mutual := append(own, "SAMSARA_GATEWAY_TLS_CLIENT_CA_FILE="+files.ca, "SAMSARA_GATEWAY_LISTEN="+at.GRPC)
	expectProbe(t, "its own certificate is shown", 0, "SERVING\n", mutual)
	expectProbe(t, "a stranger's certificate", 1, "no gateway answers", mutual, "--cert-file", strange.cert, "--key-file", strange.key)
	expectProbe(t, "a certificate from flags", 0, "SERVING\n", nil,
		"--address", at.GRPC, "--tls", "--ca-file", files.ca, "--cert-file", files.cert, "--key-file", files.key)
	expectProbe(t, "no certificate", 1, "no gateway answers", nil, "--address", at.GRPC, "--tls", "--ca-file", files.ca)
}

// TestReadiness_withoutAuthorities starts gateways on a system without certificate authorities: every call by https would
// fail.
func TestReadiness_withoutAuthorities(t *testing.T) {
	t.Parallel()
	none := []string{"SSL_CERT_FILE=/nonexistent", "SSL_CERT_DIR=/nonexistent"}
	token := tokenFile(t, "open")
	for _, test := range []struct {
		url  string
		env  []string
		want int
	}{
		{"https://samsara.test", none, http.StatusServiceUnavailable},
		{"https://samsara.test", []string{"SSL_CERT_FILE=" + authorityFile(t)}, http.StatusOK},
		{"http://127.0.0.1:1", none, http.StatusOK},
	} {
		p := startIn(t, test.env, flagsAt(test.url, token)...)
		at := p.await(t, "serving")
		status, body := get(t, "http://"+at.Admin+"/readyz", "")
		if status != test.want || strings.Contains(body, "ca-bundle: ") != (test.want != http.StatusOK) {
			t.Errorf("%s: /readyz answers %d %q, want %d", test.url, status, body, test.want)
		}
		wantHealth := healthv1.HealthCheckResponse_SERVING
		if test.want != http.StatusOK {
			wantHealth = healthv1.HealthCheckResponse_NOT_SERVING
			p.await(t, "not ready")
		}
		conn := connect(t, at.GRPC, insecure.NewCredentials())
		health, err := healthv1.NewHealthClient(conn).Check(waiting(t), &healthv1.HealthCheckRequest{})
		if err != nil || health.GetStatus() != wantHealth {
			t.Errorf("%s: health is %v (%v), want %v", test.url, health.GetStatus(), err, wantHealth)
		}
		if status, body := get(t, "http://"+at.Admin+"/livez", ""); status != http.StatusOK || body != "ok\n" {
			t.Errorf("%s: /livez answers %d %q", test.url, status, body)
		}
		p.stop(t)
	}
}

// authorityFile returns the path of a file with an authority.
func authorityFile(t *testing.T) string {
	t.Helper()
	files, _ := newPEMFiles(t)
	return files.ca
}

// TestReadiness_organizationsChange has the file of organizations name one that is called by https, first beside another
// one and then alone.
func TestReadiness_organizationsChange(t *testing.T) {
	t.Parallel()
	token := tokenFile(t, "open")
	one := "  - {name: one, token-file: " + token + ", base-url: 'http://127.0.0.1:1'}\n"
	two := "  - {name: two, token-file: " + token + ", base-url: 'https://samsara.test'}\n"
	file := tokenFile(t, "organizations:\n"+one)
	p := startIn(t, []string{"SSL_CERT_FILE=/nonexistent", "SSL_CERT_DIR=/nonexistent"}, "--organizations-file="+file,
		"--log-format=json", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0")
	at := p.await(t, "serving")
	health := healthv1.NewHealthClient(connect(t, at.GRPC, insecure.NewCredentials()))
	for _, step := range []struct {
		name, organizations, line string
		status                    int
		health                    healthv1.HealthCheckResponse_ServingStatus
	}{
		{"none by https", one, "", http.StatusOK, healthv1.HealthCheckResponse_SERVING},
		{"one of them by https", one + two, "ca-bundle of two: ", http.StatusOK, healthv1.HealthCheckResponse_SERVING},
		{"all by https", two, "ca-bundle: ", http.StatusServiceUnavailable, healthv1.HealthCheckResponse_NOT_SERVING},
		{"none by https again", one, "", http.StatusOK, healthv1.HealthCheckResponse_SERVING},
	} {
		replace(t, file, "organizations:\n"+step.organizations)
		p.signal(t, syscall.SIGHUP)
		eventually(t, step.name, func() bool {
			status, body := get(t, "http://"+at.Admin+"/readyz", "")
			answer, err := health.Check(waiting(t), &healthv1.HealthCheckRequest{})
			return status == step.status && err == nil && answer.GetStatus() == step.health &&
				strings.Contains(body, "ca-bundle") == (step.line != "") && strings.Contains(body, step.line)
		})
	}
	p.stop(t)
}

func TestReadyz_refusedToken(t *testing.T) {
	t.Parallel()
	u := startTokenUpstream(t, "good")
	file := tokenFile(t, "good")
	p, at := startBefore(t, u.flags(file))
	tags := tagsv1.NewTagsServiceClient(connect(t, at.GRPC, insecure.NewCredentials()))
	ask := func() error {
		_, err := tags.GetTag(waiting(t), &tagsv1.GetTagRequest{Id: proto.String("1")})
		return err
	}
	ready := func(what string, refused bool) {
		t.Helper()
		status, body := get(t, "http://"+at.Admin+"/readyz", "")
		if status != http.StatusOK || strings.Contains(body, "api-token: Samsara has refused it") != refused {
			t.Errorf("%s: /readyz answers %d %q", what, status, body)
		}
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	ready("a good token", false)
	u.accept("other")
	if err := ask(); err == nil {
		t.Fatal("the call succeeded with a refused token")
	}
	ready("a refused token", true)
	u.accept("good")
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	ready("the token is accepted again", false)
	u.accept("other")
	if err := ask(); err == nil {
		t.Fatal("the call succeeded with a refused token")
	}
	replace(t, file, "other")
	p.signal(t, syscall.SIGHUP)
	eventually(t, "the new token is taken up", func() bool {
		_, body := get(t, "http://"+at.Admin+"/readyz", "")
		return body == "ready\n"
	})
	p.stop(t)
}

func TestReadyz_openCircuit(t *testing.T) {
	t.Parallel()
	_, at := startBefore(t, flagsAt("http://127.0.0.1:1", tokenFile(t, "open")), "--quota=false", "--retry-max-attempts=1")
	tags := tagsv1.NewTagsServiceClient(connect(t, at.GRPC, insecure.NewCredentials()))
	eventually(t, "/readyz names the circuit", func() bool {
		if _, err := tags.GetTag(waiting(t), &tagsv1.GetTagRequest{Id: proto.String("1")}); err == nil {
			t.Fatal("the call succeeded without an upstream")
		}
		status, body := get(t, "http://"+at.Admin+"/readyz", "")
		return status == http.StatusOK && strings.Contains(body, "upstream: its circuit is ")
	})
}

func TestProfiles_whenWanted(t *testing.T) {
	t.Parallel()
	_, at := startSandboxed(t)
	if status, _ := get(t, "http://"+at.Admin+"/debug/pprof/", ""); status != http.StatusNotFound {
		t.Errorf("without --pprof: got %d, want 404", status)
	}
	_, at = startSandboxed(t, "--pprof")
	if status, body := get(t, "http://"+at.Admin+"/debug/pprof/goroutine?debug=1", ""); status != http.StatusOK || !strings.HasPrefix(body, "goroutine profile: ") {
		t.Errorf("with --pprof: got %d %.80q", status, body)
	}
}
