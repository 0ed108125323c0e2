package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	tagsv1 "samsara.internal/gateway/gen/tags/v1"
	"samsara.internal/gateway/internal/testenv"
)

// auditLines returns the lines of an audit log.
func auditLines(t *testing.T, path string) []map[string]string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var lines []map[string]string
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		line := make(map[string]string)
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
			t.Fatalf("%q: %v", scanner.Text(), err)
		}
		for _, varies := range []string{"time", "msg", "duration"} {
			if line[varies] == "" && (varies != "duration" || line["stage"] != "begun") {
				t.Errorf("%q lacks %s", scanner.Text(), varies)
			}
			delete(line, varies)
		}
		lines = append(lines, line)
	}
	return lines
}

// auditUpstream answers DELETE with 204, PATCH with 404, POST with a broken connection, and GET with a tag.
func auditUpstream(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	switch r.Method {
	case http.MethodGet:
		_, _ = io.WriteString(w, `{"data":{"id":"1","name":"one"}}`)
	case http.MethodDelete:
		w.Header().Set("X-Request-Id", "id-204")
		w.WriteHeader(http.StatusNoContent)
	case http.MethodPatch:
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"message":"no such tag","requestId":"id-404"}`)
	default:
		resetConn(w)
	}
}

func TestAudit_writesAndDenials(t *testing.T) {
	t.Parallel()
	const static = "sgw_a-static-token-of-billing"
	tokens := tokenFile(t, tokenLine("billing", static))
	path := filepath.Join(t.TempDir(), "audit.log")
	p := start(t, append(flagsAt("http://"+serveHTTP(t, http.HandlerFunc(auditUpstream)), tokenFile(t, "token")),
		"--caller-tokens-file", tokens, "--audit-file", path, "--passthrough", "--retry-max-attempts=1",
		"--policy-file", tokenFile(t, `rules: [{name: all, identities: ["*"], methods: ["*"], effect: allow}, {name: no puts, identities: ["*"], methods: ["samsara_gateway.tags.v1.TagsService/ReplaceTag"], effect: deny}]`))...)
	at := p.await(t, "serving")
	client := tagsv1.NewTagsServiceClient(connect(t, at.GRPC, insecure.NewCredentials()))
	pass := apiv1.NewPassthroughServiceClient(connect(t, at.GRPC, insecure.NewCredentials()))
	ctx := metadata.AppendToOutgoingContext(waiting(t), "authorization", "Bearer "+static, "samsara-caller", "billing/report")
	for _, call := range []func() error{
		func() error { _, err := client.GetTag(ctx, &tagsv1.GetTagRequest{Id: proto.String("1")}); return err },
		func() error {
			_, err := client.DeleteTag(ctx, &tagsv1.DeleteTagRequest{Id: proto.String("7\n\"")})
			return err
		},
		func() error {
			_, err := client.UpdateTag(ctx, &tagsv1.UpdateTagRequest{Id: proto.String("8"), Name: proto.String("x")})
			return err
		},
		func() error {
			_, err := client.CreateTag(ctx, &tagsv1.CreateTagRequest{Name: proto.String("secret of a payload")})
			return err
		},
		func() error {
			_, err := client.ReplaceTag(ctx, &tagsv1.ReplaceTagRequest{Id: proto.String("9")})
			return err
		},
		func() error {
			_, err := pass.Call(ctx, &apiv1.CallRequest{Method: proto.String("DELETE"), Path: proto.String("/beta/things/1")})
			return err
		},
		func() error {
			_, err := pass.Call(ctx, &apiv1.CallRequest{Method: proto.String("GET"), Path: proto.String("/tags/1")})
			return err
		},
		func() error {
			_, err := client.GetTag(waiting(t), &tagsv1.GetTagRequest{Id: proto.String("1")})
			return err
		},
	} {
		_ = call() // What became of it is in the log.
	}
	who := map[string]string{"stage": "ended", "identity": "token:billing", "caller": "billing/report", "organization": "default"}
	line := func(members ...string) map[string]string {
		all := map[string]string{}
		for name, value := range who {
			all[name] = value
		}
		for i := 0; i < len(members); i += 2 {
			if all[members[i]] = members[i+1]; members[i+1] == "" {
				delete(all, members[i])
			}
		}
		return all
	}
	const service = "samsara_gateway.tags.v1.TagsService/"
	want := []map[string]string{
		line("method", service+"DeleteTag", "http_method", "DELETE", "path", "/tags/7%0A%22", "code", "OK", "processed", "yes", "request_id", "id-204"),
		line("method", service+"UpdateTag", "http_method", "PATCH", "path", "/tags/8", "code", "NotFound", "reason", "NOT_FOUND", "http_status", "404", "processed", "no", "request_id", "id-404"),
		line("method", service+"CreateTag", "http_method", "POST", "path", "/tags", "code", "Unavailable", "reason", "UPSTREAM_RESET", "processed", "unknown"),
		line("method", service+"ReplaceTag", "code", "PermissionDenied", "reason", "REQUEST_DENIED", "processed", "no", "rule", "no puts", "caller", ""),
		line("method", "samsara_gateway.api.v1.PassthroughService/Call", "http_method", "DELETE", "path", "/beta/things/1", "code", "OK", "processed", "yes", "request_id", "id-204"),
		line("method", service+"GetTag", "code", "Unauthenticated", "reason", "REQUEST_PROOF_MISSING", "identity", "anonymous", "caller", ""),
	}
	got := auditLines(t, path)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("audit log (-want +got):\n%s", diff)
	}
	p.stop(t)
	if text := content(t, path); strings.Contains(text, static) || strings.Contains(text, "secret of a payload") {
		t.Error("the audit log has a token or a payload")
	}
}

// TestAudit_outage takes away the folder of the audit log, with and without --audit-required.
func TestAudit_outage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		flags []string
		// without is the code of a write that has no line, and of a line of which stages each write has.
		without codes.Code
		stages  []string
	}{
		"not required": {nil, codes.OK, []string{"ended"}},
		"required":     {[]string{"--audit-required"}, codes.Unavailable, []string{"begun", "ended"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "logs")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "audit.log")
			var asked atomic.Int64
			upstream := serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				auditUpstream(w, r)
			}))
			p := start(t, append(append(flagsAt("http://"+upstream, tokenFile(t, "token")), "--audit-file", path), test.flags...)...)
			at := p.await(t, "serving")
			client := tagsv1.NewTagsServiceClient(connect(t, at.GRPC, insecure.NewCredentials()))
			// removed makes a write, and wants a code, and whether Samsara was asked.
			removed := func(want codes.Code) {
				t.Helper()
				before := asked.Load()
				_, err := client.DeleteTag(waiting(t), &tagsv1.DeleteTagRequest{Id: proto.String("1")})
				got := verdictOf(err)
				if got.code != want || (asked.Load() > before) != (want == codes.OK) || want != codes.OK && (got.reason != "GATEWAY_AUDIT" || got.processed != "no") {
					t.Errorf("got %v after %d requests, want %v", got, asked.Load()-before, want)
				}
			}
			removed(codes.OK)
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			p.signal(t, syscall.SIGHUP)
			p.await(t, "SIGHUP: files are read again")
			removed(test.without)
			if line := p.await(t, "audit line not written"); line.Level != "ERROR" || line.Method == "" {
				t.Errorf("the log says %v", line)
			}
			if failed := metric(t, at.Admin, "samsara_gateway_audit_lines_total", `result="failed"`); failed != float64(len(test.stages)) {
				t.Errorf("%v lines failed, want %d", failed, len(test.stages))
			}
			if _, err := client.GetTag(waiting(t), &tagsv1.GetTagRequest{Id: proto.String("1")}); err != nil {
				t.Errorf("a read: %v", err)
			}
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			removed(codes.OK)
			var stages []string
			for _, line := range auditLines(t, path) {
				stages = append(stages, line["stage"])
			}
			if diff := cmp.Diff(test.stages, stages); diff != "" {
				t.Errorf("stages in the audit log (-want +got):\n%s", diff)
			}
			p.stop(t)
		})
	}
}

// TestAudit_fullDisk has a disk with room for some lines: each write that Samsara was asked for has a line.
func TestAudit_fullDisk(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	var asked atomic.Int64
	upstream := serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		auditUpstream(w, r)
	}))
	flags := append(flagsAt("http://"+upstream, tokenFile(t, "token")), "--audit-file", path, "--audit-required", "--quota=false")
	p := startCommand(t, nil, append([]string{"/bin/sh", "-c", `ulimit -f 4; exec "$@"`, "sh", testenv.Tool(t, "gateway")}, flags...)...)
	at := p.await(t, "serving")
	client := tagsv1.NewTagsServiceClient(connect(t, at.GRPC, insecure.NewCredentials()))
	refused := 0
	for range 40 {
		if _, err := client.DeleteTag(waiting(t), &tagsv1.DeleteTagRequest{Id: proto.String("1")}); verdictOf(err).reason == "GATEWAY_AUDIT" {
			refused++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	begun := 0
	for _, line := range auditLines(t, path) {
		if line["stage"] == "begun" {
			begun++
		}
	}
	if refused == 0 || refused == 40 || int64(begun) != asked.Load() || begun+refused != 40 {
		t.Errorf("%d writes begun, %d refused and %d requests of 40 writes", begun, refused, asked.Load())
	}
	p.stop(t)
}

// TestAudit_killed kills the gateway while it writes: every line is whole, and every write that was answered has one.
func TestAudit_killed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	p := start(t, append(flagsAt("http://"+serveHTTP(t, http.HandlerFunc(auditUpstream)), tokenFile(t, "token")), "--audit-file", path, "--quota=false")...)
	at := p.await(t, "serving")
	client := tagsv1.NewTagsServiceClient(connect(t, at.GRPC, insecure.NewCredentials()))
	var answered atomic.Int64
	ctx := waiting(t)
	var writing sync.WaitGroup
	for range 8 {
		writing.Go(func() {
			for {
				if _, err := client.DeleteTag(ctx, &tagsv1.DeleteTagRequest{Id: proto.String("1")}); err != nil {
					return
				}
				if answered.Add(1) == 300 {
					_ = p.cmd.Process.Kill() // It ends while 7 others write.
				}
			}
		})
	}
	writing.Wait()
	<-p.exited
	if lines := auditLines(t, path); int64(len(lines)) < answered.Load() {
		t.Errorf("%d lines of %d writes that were answered", len(lines), answered.Load())
	}
}

// TestAudit_rotatedByOthers renames the file under load and sends SIGHUP, as logrotate does: no line is lost or doubled.
func TestAudit_rotatedByOthers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	p := start(t, append(flagsAt("http://"+serveHTTP(t, http.HandlerFunc(auditUpstream)), tokenFile(t, "token")), "--audit-file", path, "--quota=false")...)
	at := p.await(t, "serving")
	client := tagsv1.NewTagsServiceClient(connect(t, at.GRPC, insecure.NewCredentials()))
	lines := 0
	for n := range 5 {
		var writing sync.WaitGroup
		for range 4 {
			writing.Go(func() {
				for range 25 {
					if _, err := client.DeleteTag(waiting(t), &tagsv1.DeleteTagRequest{Id: proto.String("1")}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		old := path + "-" + strconv.Itoa(n)
		eventually(t, "there is no file", func() bool { return os.Rename(path, old) == nil })
		p.signal(t, syscall.SIGHUP)
		p.await(t, "SIGHUP: files are read again")
		writing.Wait()
		lines += len(auditLines(t, old))
	}
	if _, err := os.Stat(path); err == nil {
		lines += len(auditLines(t, path))
	}
	if lines != 500 {
		t.Errorf("%d lines of 500 writes", lines)
	}
	p.stop(t)
}

// TestAudit_readerGone ends what reads the audit log from standard output.
func TestAudit_readerGone(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	flags := append(flagsAt("http://"+serveHTTP(t, http.HandlerFunc(auditUpstream)), tokenFile(t, "token")), "--audit-file=-")
	p := startCommand(t, nil, append([]string{"/bin/sh", "-c", `pipe=$1; shift; exec "$@" >"$pipe"`, "sh", pipe, testenv.Tool(t, "gateway")}, flags...)...)
	at := p.await(t, "serving")
	client := tagsv1.NewTagsServiceClient(connect(t, at.GRPC, insecure.NewCredentials()))
	remove := func() error {
		_, err := client.DeleteTag(waiting(t), &tagsv1.DeleteTagRequest{Id: proto.String("1")})
		return err
	}
	if err := remove(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(reader).ReadString('\n')
	if err = errors.Join(err, reader.Close()); err != nil || !strings.Contains(line, `"path":"/tags/1"`) {
		t.Fatalf("got %q, %v, want a line", line, err)
	}
	if err := remove(); err != nil {
		t.Errorf("without a reader: %v", err)
	}
	if failed := metric(t, at.Admin, "samsara_gateway_audit_lines_total", `result="failed"`); failed != 1 {
		t.Errorf("%v lines were not written, want 1", failed)
	}
	p.stop(t)
}
