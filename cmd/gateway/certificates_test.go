package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// pemFiles are the paths of the PEM files that a gateway reads its certificate from.
type pemFiles struct{ cert, key, ca string }

// newPEMFiles writes a new certificate, its key, and the certificate again as the authority of clients.
func newPEMFiles(t *testing.T) (pemFiles, *x509.CertPool) {
	t.Helper()
	cert, key, pool := selfSigned(t)
	files := pemFiles{cert, key, tokenFile(t, content(t, cert))}
	return files, pool
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// leaf returns the certificate in a file.
func leaf(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode([]byte(content(t, path)))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// shown opens a new connection. It returns the certificate that the gateway presents, and whether the
// session was resumed.
func shown(ctx context.Context, address string, cfg *tls.Config) (cert *x509.Certificate, resumed bool, err error) {
	plain, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, false, err
	}
	conn := tls.Client(plain, cfg)
	defer hangUp(conn)
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return nil, false, err
	}
	// The SETTINGS frame of HTTP/2 comes after the session ticket, or an alert does.
	if _, err := conn.Read(make([]byte, 9)); err != nil {
		return nil, false, err
	}
	state := conn.ConnectionState()
	return state.PeerCertificates[0], state.DidResume, nil
}

func TestCertificates_replaced(t *testing.T) {
	t.Parallel()
	files, pool := newPEMFiles(t)
	fresh, _ := newPEMFiles(t)
	pool.AddCert(leaf(t, fresh.cert))
	p, at := startSandboxed(t, "--tls-cert-file", files.cert, "--tls-key-file", files.key)
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: "localhost", RootCAs: pool, NextProtos: []string{"h2"}}

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var dialing sync.WaitGroup
	dials := 0
	dialing.Go(func() {
		for ; ctx.Err() == nil; dials++ {
			if _, _, err := shown(ctx, at.GRPC, cfg); err != nil && ctx.Err() == nil {
				t.Errorf("a new connection, after %d: %v", dials, err)
				return
			}
		}
	})
	notAfter := func(path string) bool {
		return int64(metric(t, at.Admin, "samsara_gateway_certificate_not_after_timestamp_seconds", `certificate="server"`)) == leaf(t, path).NotAfter.Unix()
	}
	if !notAfter(files.cert) {
		t.Error("the metric does not show when the certificate expires")
	}
	old := leaf(t, files.cert)
	replace(t, files.cert, content(t, fresh.cert))
	p.signal(t, syscall.SIGHUP)
	eventually(t, "the certificate without its key is refused", func() bool {
		return metric(t, at.Admin, "samsara_gateway_file_consecutive_failures", `file="tls"`) > 0
	})
	if got, _, err := shown(t.Context(), at.GRPC, cfg); err != nil || !got.Equal(old) {
		t.Errorf("meanwhile the old certificate is not shown: %v", err)
	}
	replace(t, files.key, content(t, fresh.key))
	p.signal(t, syscall.SIGHUP)
	want := leaf(t, fresh.cert)
	eventually(t, "the new certificate is shown", func() bool {
		got, _, err := shown(t.Context(), at.GRPC, cfg)
		return err == nil && got.Equal(want)
	})
	if !notAfter(fresh.cert) {
		t.Error("the metric does not show when the new certificate expires")
	}
	stop()
	dialing.Wait()
	t.Logf("%d connections were made meanwhile", dials)
	p.stop(t)
}

func TestCertificates_sessionsResumed(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files, pool := newPEMFiles(t)
			fresh, _ := newPEMFiles(t)
			pair, err := tls.LoadX509KeyPair(files.cert, files.key)
			if err != nil {
				t.Fatal(err)
			}
			_, at := startSandboxed(t, "--tls-cert-file", files.cert, "--tls-key-file", files.key, "--tls-client-ca-file", files.ca)
			cfg := &tls.Config{
				MinVersion: tls.VersionTLS12, MaxVersion: version, ServerName: "localhost", RootCAs: pool, NextProtos: []string{"h2"},
				Certificates: []tls.Certificate{pair}, ClientSessionCache: tls.NewLRUClientSessionCache(1),
			}
			connect := func(step string, want bool) {
				t.Helper()
				if _, resumed, err := shown(t.Context(), at.GRPC, cfg); err != nil || resumed != want {
					t.Errorf("%s: resumed %t, %v, want %t", step, resumed, err, want)
				}
			}
			changed := func() float64 {
				return metric(t, at.Admin, "samsara_gateway_file_looks_total", `file="tls"`, `result="changed"`)
			}
			connect("the first", false)
			connect("the second", true)
			// An additional authority makes another configuration.
			replace(t, files.ca, content(t, files.ca)+content(t, fresh.ca))
			eventually(t, "the new authorities are used", func() bool { return changed() == 1 })
			connect("after the change", true)

			replace(t, files.ca, content(t, fresh.ca))
			eventually(t, "the authority is gone", func() bool { return changed() == 2 })
			if _, _, err := shown(t.Context(), at.GRPC, cfg); err == nil || !strings.Contains(err.Error(), "certificate") {
				t.Errorf("without its authority: got %v, want the certificate refused", err)
			}
		})
	}
}

func TestCertificates_authorityAdded(t *testing.T) {
	t.Parallel()
	files, pool := newPEMFiles(t)
	stranger, _ := newPEMFiles(t)
	pair, err := tls.LoadX509KeyPair(stranger.cert, stranger.key)
	if err != nil {
		t.Fatal(err)
	}
	_, at := startSandboxed(t, "--tls-cert-file", files.cert, "--tls-key-file", files.key, "--tls-client-ca-file", files.ca)
	check := func() error {
		creds := credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12, ServerName: "localhost", RootCAs: pool, Certificates: []tls.Certificate{pair}})
		_, err := healthv1.NewHealthClient(connect(t, at.GRPC, creds)).Check(waiting(t), &healthv1.HealthCheckRequest{})
		return err
	}
	if err := check(); status.Code(err) != codes.Unavailable {
		t.Errorf("a stranger: got %v, want Unavailable", err)
	}
	// A truncated file is not used: it would have the old authorities without the new one.
	both := content(t, files.ca) + content(t, stranger.ca)
	replace(t, files.ca, both[:len(both)-100])
	eventually(t, "a truncated file is refused", func() bool {
		return metric(t, at.Admin, "samsara_gateway_file_consecutive_failures", `file="tls"`) > 0
	})
	replace(t, files.ca, both)
	eventually(t, "the stranger is accepted", func() bool { return check() == nil })
}

func TestCheckDates_outOfRange(t *testing.T) {
	t.Parallel()
	files, _ := newPEMFiles(t)
	cert := leaf(t, files.cert)
	for name, test := range map[string]struct {
		from, to time.Duration
		want     string
	}{
		"valid":   {-time.Hour, time.Hour, ""},
		"expired": {-2 * time.Hour, -time.Hour, "the certificate is not valid after"},
		"early":   {time.Hour, 2 * time.Hour, "the certificate is not valid before"},
	} {
		dated := *cert
		dated.NotBefore, dated.NotAfter = time.Now().Add(test.from), time.Now().Add(test.to)
		if err := checkDates(&dated); (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}
