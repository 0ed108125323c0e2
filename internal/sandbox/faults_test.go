package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/internal/sandbox"
)

func fault(t *testing.T, text string) sandbox.Fault {
	t.Helper()
	f, err := sandbox.ParseFault(text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// statuses sends one request several times and returns the statuses of the replies.
func statuses(t *testing.T, a *api, times int, line string, headers ...string) []int {
	t.Helper()
	var got []int
	for range times {
		got = append(got, a.call(t, line, "", headers...).status)
	}
	return got
}

func TestFaults_configured(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		faults []string
		line   string
		want   []int
	}{
		"to every request":                {[]string{"status=503"}, "GET /fleet/vehicles", []int{503, 503, 503}},
		"to the first ones":               {[]string{"status=503; first=2"}, "GET /fleet/vehicles", []int{503, 503, 200}},
		"to a path":                       {[]string{"status=503; match=/fleet/vehicles"}, "GET /fleet/vehicles?limit=1", []int{503}},
		"to no other path":                {[]string{"status=503; match=/fleet/vehicles"}, "GET /fleet/vehicles/" + knownID, []int{200}},
		"to paths that begin so":          {[]string{"status=503; match=/fleet/veh*"}, "GET /fleet/vehicles/" + knownID, []int{503}},
		"in order, the first that is due": {[]string{"status=503; first=1", "status=429; first=2"}, "GET /fleet/vehicles", []int{503, 429, 429, 200}},
		"to the one request":              {[]string{"status=503; nth=2"}, "GET /fleet/vehicles", []int{200, 503, 200}},
		"counted only if they match":      {[]string{"status=503; first=1; match=/tags"}, "GET /fleet/vehicles", []int{200, 200}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := serve(t, func(c *sandbox.Config) {
				for _, text := range tt.faults {
					c.Faults = append(c.Faults, fault(t, text))
				}
			})
			if diff := cmp.Diff(tt.want, statuses(t, a, len(tt.want), tt.line)); diff != "" {
				t.Errorf("statuses (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFaults_byHeader(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	const line = "GET /fleet/vehicles"
	if got := statuses(t, a, 2, line, sandbox.FaultHeader, "status=504"); !cmp.Equal(got, []int{504, 504}) {
		t.Errorf("with a fault = %v, want 504 each time", got)
	}
	if got := statuses(t, a, 3, line, sandbox.FaultHeader, "status=504; first=1"); !cmp.Equal(got, []int{504, 200, 200}) {
		t.Errorf("with one for the first = %v, want it once", got)
	}
	var got []int
	for range 2 {
		for attempt := 1; attempt <= 3; attempt++ {
			got = append(got, a.call(t, line, "", sandbox.FaultHeader, "status=503; first=2", sandbox.AttemptHeader, strconv.Itoa(attempt)).status)
		}
	}
	if diff := cmp.Diff([]int{503, 503, 200, 503, 503, 200}, got); diff != "" {
		t.Errorf("with attempts (-want +got):\n%s", diff)
	}
	for _, headers := range [][]string{{sandbox.FaultHeader, "explode"}, {sandbox.FaultHeader, "reset", sandbox.AttemptHeader, "0"}} {
		if got := a.call(t, line, "", headers...); got.status != 400 {
			t.Errorf("%v = %d %s, want 400", headers, got.status, got.text)
		}
	}
	if got := a.call(t, line, "", sandbox.FaultHeader, "status=503", "Authorization", "Bearer wrong"); got.status != 401 {
		t.Errorf("a fault with a wrong token = %d, want 401", got.status)
	}
}

func TestFaults_countsBounded(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	for i := range 1100 {
		text := fmt.Sprintf("status=503; first=1; match=/me; latency=%dns", i+1)
		if got := a.call(t, "GET /me", "", sandbox.FaultHeader, text); got.status != 503 {
			t.Fatalf("%s = %d, want 503", text, got.status)
		}
	}
}

func TestFaults_shareOfASeed(t *testing.T) {
	t.Parallel()
	draw := func(seed uint64) []int {
		return statuses(t, serve(t, func(c *sandbox.Config) { c.Seed = seed }), 400, "GET /me", sandbox.FaultHeader, "status=503; share=0.2")
	}
	one, again, other := draw(1), draw(1), draw(2)
	failures := 0
	for _, status := range one {
		if status == 503 {
			failures++
		}
	}
	if failures < 60 || failures > 100 {
		t.Errorf("%d of 400 failed, want about 80", failures)
	}
	if !cmp.Equal(one, again) || cmp.Equal(one, other) {
		t.Error("the sequence must be that of the seed")
	}
}

func TestFaults_headersOfReply(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	got := a.call(t, "GET /me", "", sandbox.FaultHeader, "status=429; retry-after=0.40235")
	if got.header.Get("Retry-After") != "0.40235" || got.header.Get("Request-Id") == "" {
		t.Errorf("headers = %v, want Retry-After 0.40235 and a request id", got.header)
	}
	if got := a.call(t, "GET /me", "", sandbox.FaultHeader, "status=429"); got.header.Get("Retry-After") != "" {
		t.Errorf("Retry-After = %s, want none", got.header.Get("Retry-After"))
	}
}

func TestFaults_truncate(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	whole := a.call(t, "GET /fleet/vehicles", "")
	got := a.call(t, "GET /fleet/vehicles", "", sandbox.FaultHeader, "truncate")
	if !errors.Is(got.err, io.ErrUnexpectedEOF) {
		t.Errorf("reading the body = %v, want %v", got.err, io.ErrUnexpectedEOF)
	}
	if want := whole.text[:len(whole.text)/2]; got.text != want || got.header.Get("Content-Length") != strconv.Itoa(len(whole.text)) {
		t.Errorf("%d bytes of %s, want the first %d of %d", len(got.text), got.header.Get("Content-Length"), len(want), len(whole.text))
	}
}

func TestFaults_drift(t *testing.T) {
	t.Parallel()
	const drifted = `,"sandboxDrift":true}`
	tests := map[string]struct {
		line, body string
		records    int
	}{
		"a record":        {"GET /fleet/vehicles/" + knownID, "", 1},
		"a list":          {"GET /fleet/vehicles?limit=5", "", 5},
		"a feed":          {"GET " + locations + "&startTime=2026-03-02T11:59:59Z", "", 12},
		"rows of a table": {"POST /v1/sensors/history", `{"startMs":1,"endMs":3,"stepMs":1,"series":[{"field":"ambientTemperature","widgetId":281474976710657}]}`, 3},
		"no record":       {"GET /fleet/vehicles/1", "", 0},
	}
	a := serve(t, nil)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole, got := a.call(t, tt.line, tt.body), a.call(t, tt.line, tt.body, sandbox.FaultHeader, "drift")
			if n := strings.Count(got.text, drifted); n != tt.records {
				t.Errorf("%d records have a member that no message has, want %d", n, tt.records)
			}
			if got.status != whole.status || tt.records > 0 && strings.ReplaceAll(got.text, drifted, "}") != whole.text {
				t.Errorf("%d %.500s\nwant nothing else to differ from %d %.500s", got.status, got.text, whole.status, whole.text)
			}
		})
	}
}

func TestFaults_reset(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	_, err := a.try(t, "POST /tags", `{"name":"a"}`, sandbox.FaultHeader, "reset")
	if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
		t.Errorf("the client sees %v, want a reset connection", err)
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/me", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set(sandbox.FaultHeader, "reset")
	a.server.Config.Handler.ServeHTTP(w, r)
	if w.Code != http.StatusBadGateway {
		t.Errorf("without a connection = %d, want 502", w.Code)
	}
}

func TestFaults_effectOnRecords(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{"status=503": false, "reset": false, "drift": true, "truncate": true, "latency=1ms": true, "retry-after=1": true}
	for text, kept := range tests {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			a := serve(t, nil)
			_, err := a.try(t, "POST /contacts", `{"firstName":"Zoe"}`, sandbox.FaultHeader, text)
			if (err != nil) != (text == "reset") {
				t.Fatal(err)
			}
			names := column(a.get(t, "GET /contacts?limit=512", ""), "data", "firstName")
			if got := strings.Contains(strings.Join(names, " "), "Zoe"); got != kept {
				t.Errorf("the record is there: %t, want %t", got, kept)
			}
		})
	}
}

func TestFaults_latencyUntilClientLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := sandbox.New(sandbox.Config{Token: token, Faults: []sandbox.Fault{{Latency: 2 * time.Second}}})
		if err != nil {
			t.Fatal(err)
		}
		for patience, want := range map[time.Duration]time.Duration{time.Minute: 2 * time.Second, time.Second: time.Second} {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/me", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			began := time.Now()
			s.ServeHTTP(httptest.NewRecorder(), r)
			if got := time.Since(began); got != want {
				t.Errorf("a client that waits %s waited %s, want %s", patience, got, want)
			}
			cancel()
		}
	})
}
