package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/credentials/insecure"

	vehiclesv1 "samsara.internal/gateway/gen/vehicles/v1"
	"samsara.internal/gateway/internal/config"
)

// TestLog_standardLibrary makes net/http log a line: an HTTP/2 upstream sends a frame too early.
func TestLog_standardLibrary(t *testing.T) {
	t.Parallel()
	certFile, keyFile, _ := selfSigned(t)
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	url := startScriptedProxy(t, "https", &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}}, func(conn net.Conn) {
		defer hangUp(conn)
		_, _ = io.WriteString(conn, "\x00\x00\x08\x06\x00\x00\x00\x00\x00whatever") // PING
		_, _ = io.Copy(io.Discard, conn)
	})
	flags := flagsAt("https://"+url[strings.LastIndex(url, "@")+1:], tokenFile(t, "open"))
	p := startIn(t, []string{"SSL_CERT_FILE=" + certFile}, append(flags, "--upstream-http2", "--retry-max-attempts=1")...)
	client := vehiclesv1.NewVehiclesServiceClient(connect(t, p.await(t, "serving").GRPC, insecure.NewCredentials()))
	if _, err := client.ListVehicles(waiting(t), &vehiclesv1.ListVehiclesRequest{}); err == nil {
		t.Error("the call was answered")
	}
	line := p.await(t, "the Go library says")
	if line.Level != "WARN" || !strings.Contains(line.Text, "before a SETTINGS frame") {
		t.Errorf("got %+v", line)
	}
	p.stop(t)
	wantStructured(t, p)
}

// TestLog_gRPC makes grpc-go log a line: a client sends a binary header that is not base64. Even with the
// environment variables of grpc-go, its lines have the form of this log.
func TestLog_gRPC(t *testing.T) {
	t.Parallel()
	p := startIn(t, []string{"GRPC_GO_LOG_SEVERITY_LEVEL=warning"},
		"--sandbox", "--log-format=json", "--log-level=debug", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0")
	conn, err := net.Dial("tcp", p.await(t, "serving").GRPC)
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp(conn)
	const secret = "not of base64 !"
	var block bytes.Buffer
	for encoder, fields := hpack.NewEncoder(&block), []string{
		":method", "POST", ":scheme", "http", ":path", vehiclesv1.VehiclesService_ListVehicles_FullMethodName,
		"content-type", "application/grpc", "te", "trailers", "of-the-client-bin", secret,
	}; len(fields) > 0; fields = fields[2:] {
		if err := encoder.WriteField(hpack.HeaderField{Name: fields[0], Value: fields[1]}); err != nil {
			t.Fatal(err)
		}
	}
	_, err = io.WriteString(conn, http2.ClientPreface)
	framer := http2.NewFramer(conn, conn)
	if err := errors.Join(err, framer.WriteSettings(), framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true,
	})); err != nil {
		t.Fatal(err)
	}
	line := p.await(t, "the gRPC library says")
	if line.Level != "DEBUG" || !strings.Contains(line.Text, `Failed to decode metadata header ("…", "…")`) {
		t.Errorf("got %+v", line)
	}
	hangUp(conn) // grpc-go would wait for the connection.
	p.stop(t)
	wantStructured(t, p)
	if _, text, _ := p.log(); strings.Contains(text, secret) {
		t.Errorf("%q is in:\n%s", secret, text)
	}
}

// TestGRPCLines_levels logs at each level directly, because only faults of a server cause lines above
// warning.
func TestGRPCLines_levels(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	log, _ := newLogger(slog.LevelInfo, config.LogText, &out)
	lines := newGRPCLines(log)
	lines.Infof("info")
	lines.Warning("warning")
	lines.Errorf("an error with %q", "data")
	lines.Errorln("another", "error")
	lines.Fatal("the last")
	var got []string
	for line := range strings.Lines(out.String()) {
		_, line, _ = strings.Cut(strings.TrimSpace(line), " ") // cuts the time
		got = append(got, line)
	}
	want := []string{
		`level=WARN msg="the gRPC library says" text="an error with \"…\""`,
		`level=WARN msg="the gRPC library says" text="another error"`,
		`level=ERROR msg="the gRPC library says" text="the last"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// wantStructured checks that every line of the log is JSON.
func wantStructured(t *testing.T, p *process) {
	t.Helper()
	lines, text, _ := p.log()
	if got := strings.Count(text, "\n"); got != len(lines) {
		t.Errorf("of %d lines %d are JSON:\n%s", got, len(lines), text)
	}
}

func TestStrayText_quotedAndCut(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Unsolicited response received on idle HTTP channel starting with \"HTTP/1.1 200 \\\"x\\\"\\r\\n\"; err=<nil>\n": `Unsolicited response received on idle HTTP channel starting with "…"; err=<nil>`,
		"cut \"off":                       `cut "…"`,
		"two\nlines\x00\x7f and \xff":     "two lines  and \uFFFD",
		strings.Repeat("ä", 400):          strings.Repeat("ä", 256) + "…",
		`none but "" and 'single' quotes`: `none but "…" and 'single' quotes`,
	} {
		if got := strayText(text); got != want {
			t.Errorf("strayText(%q) = %q, want %q", text, got, want)
		}
	}
}
