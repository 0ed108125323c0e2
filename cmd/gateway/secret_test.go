package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	vehiclesv1 "samsara.internal/gateway/gen/vehicles/v1"
)

// leak returns characters of the API token that a text has: six of it, plain, percent-encoded or escaped as in JSON, or
// ten of its base64, in any case. It returns an empty text if there are none.
func leak(text string) string {
	_, secret, _ := strings.Cut(strings.ToLower(upstreamToken), "_api_")
	has := func(text, secret string, window int) string {
		for i := range len(secret) - window + 1 {
			if piece := secret[i : i+window]; strings.Contains(text, piece) {
				return piece
			}
		}
		return ""
	}
	for range 3 { // An encoded text may be encoded again.
		text = strings.ToLower(text)
		if piece := has(text, secret, 6); piece != "" {
			return piece
		}
		for shift := range 3 {
			for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
				encoded := encoding.EncodeToString([]byte("xx"[:shift] + upstreamToken))
				// Without what stands for the beginning, which is no secret.
				if piece := has(text, strings.ToLower(encoded[20:len(encoded)-2]), 10); piece != "" {
					return piece
				}
			}
		}
		text = regexp.MustCompile(`\\+u00([0-9a-f]{2})`).ReplaceAllStringFunc(text, func(escaped string) string {
			raw, _ := hex.DecodeString(escaped[len(escaped)-2:])
			return string(raw)
		})
		decoded, err := url.PathUnescape(text)
		if err != nil { // The text is not encoded as a whole.
			decoded = strings.NewReplacer("%2b", "+", "%2f", "/", "%3d", "=", "%25", "%").Replace(text)
		}
		text = decoded
	}
	return ""
}

// echoes returns the forms in which an upstream may send back a token.
func echoes(token string) []string {
	escaped := ""
	for _, c := range []byte(token) {
		escaped += fmt.Sprintf(`\u%04X`, c)
	}
	std, urls := base64.StdEncoding, base64.RawURLEncoding
	return []string{
		escaped, strings.ToLower(escaped), std.EncodeToString([]byte(token)), urls.EncodeToString([]byte(token)),
		std.EncodeToString([]byte("Bearer " + token)), urls.EncodeToString([]byte("a:" + token + ":b")), std.EncodeToString([]byte(`{"t":"` + token + `"}`)),
		strings.ToLower(std.EncodeToString([]byte(token))), strings.ToUpper(urls.EncodeToString([]byte("Bearer " + token))),
		url.QueryEscape(std.EncodeToString([]byte(token))), strings.ReplaceAll(token, "/", `\/`),
		token, "Bearer " + token, strings.Repeat("x", 46) + token, // The last is cut within the token.
		url.QueryEscape(token), url.PathEscape(token), strings.ToLower(url.QueryEscape(token)), strings.ToUpper(token),
	}
}

// TestToken_echoedByTheUpstream has an upstream send back the token everywhere in its answers.
func TestToken_echoedByTheUpstream(t *testing.T) {
	t.Parallel()
	upstream := serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		kind, n, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/fleet/vehicles/"), ".")
		if n == "" {
			n = r.URL.Query().Get("tagIds") // of a list
		}
		form, _ := strconv.Atoi(n)
		echo := echoes(token)[form]
		quoted, _ := json.Marshal(echo)
		w.Header().Set("X-Request-Id", echo)
		w.Header().Set("X-Echo", echo)
		w.Header().Set("X-"+strings.Map(func(r rune) rune {
			if strings.ContainsRune("/=", r) {
				return -1
			}
			return r
		}, token), "a name")
		switch kind {
		case "1": // unknown names
			fmt.Fprintf(w, `{"data":{%s:"\ud800","id":"1"},%s:1}`, quoted, quoted)
		case "2":
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"message":%s,"requestId":%s}`, quoted, quoted)
		case "3": // an error in the body of a success
			fmt.Fprintf(w, `{"message":%s}`, quoted)
		case "4":
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(w, "<html><title>"+echo+"</title>")
		case "/fleet/vehicles": // a page with a cursor, and then a failure
			if r.URL.Query().Get("after") != "" {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			fmt.Fprintf(w, `{"data":[{%s:1,"id":"1"}],"pagination":{"endCursor":%s,"hasNextPage":true}}`, quoted, quoted)
		default:
			_, _ = io.WriteString(w, `{}`)
		}
	}))
	p, at := startBefore(t, against(t, upstream), "--quota=false", "--passthrough", "--log-level=debug", "--cache=*=1m")
	conn := connect(t, at.GRPC, insecure.NewCredentials())
	client := vehiclesv1.NewVehiclesServiceClient(conn)
	check := func(what string, texts ...any) {
		t.Helper()
		for _, text := range texts {
			if leaked := leak(fmt.Sprint(text)); leaked != "" {
				t.Errorf("%s has %q of the token: %v", what, leaked, text)
			}
		}
	}
	for form := range echoes(upstreamToken) {
		for id, want := range map[string]codes.Code{"1": codes.OK, "2": codes.InvalidArgument, "3": codes.Internal, "4": codes.InvalidArgument} {
			for range 2 { // The second may be from the cache.
				var header, trailer metadata.MD
				_, err := client.GetVehicle(t.Context(), &vehiclesv1.GetVehicleRequest{Id: proto.String(fmt.Sprintf("%s.%d", id, form))}, grpc.Header(&header), grpc.Trailer(&trailer))
				if status.Code(err) != want {
					t.Errorf("vehicle %s: got %v, want %v", id, err, want)
				}
				delete(trailer, "grpc-status-details-bin") // The details are checked with the error.
				check("the header of vehicle "+id, map[string][]string(header))
				check("the trailer of vehicle "+id, map[string][]string(trailer))
				check("the error of vehicle "+id, err, status.Convert(err).Details())
			}
		}
		stream, err := client.StreamVehicles(t.Context(), &vehiclesv1.StreamVehiclesRequest{
			Request: &vehiclesv1.ListVehiclesRequest{TagIds: []string{strconv.Itoa(form)}},
		})
		for err == nil {
			_, err = stream.Recv()
		}
		if status.Code(err) != codes.PermissionDenied {
			t.Errorf("the stream ended with %v, want PermissionDenied", err)
		}
		header, _ := stream.Header()
		check("the header of a stream", map[string][]string(header))
		trailer := stream.Trailer()
		delete(trailer, "grpc-status-details-bin")
		check("the trailer of a stream", map[string][]string(trailer))
		check("the error of a stream", err, status.Convert(err).Details())
		res, err := apiv1.NewPassthroughServiceClient(conn).Call(t.Context(), &apiv1.CallRequest{Method: proto.String("GET"), Path: proto.String(fmt.Sprintf("/x.%d", form))})
		if err != nil {
			t.Errorf("passthrough: %v", err)
		}
		check("a header passed on", res.GetHeaders())
	}
	_, text := get(t, "http://"+at.Admin+"/metrics", "")
	if sum := metric(t, at.Admin, "samsara_gateway_response_drift_fields_total", `kind="unknown"`, `field="VehicleObject.*"`); sum == 0 {
		t.Error("an unknown member is not counted as VehicleObject.*")
	}
	for line := range strings.Lines(text) {
		check("a metric", line)
		if strings.HasPrefix(line, "samsara_gateway_response_drift_") && strings.Contains(line, "token") {
			t.Errorf("a name that the upstream sent is in the metrics: %s", line)
		}
	}
	p.stop(t)
	_, text, _ = p.log()
	for line := range strings.Lines(text) {
		check("the log", line)
	}
}

// TestSecrets_noCoreDump looks at the limits of a gateway.
func TestSecrets_noCoreDump(t *testing.T) {
	t.Parallel()
	p, _ := startSandboxed(t)
	limits := content(t, fmt.Sprintf("/proc/%d/limits", p.cmd.Process.Pid))
	if !regexp.MustCompile(`(?m)^Max core file size +0 +0 `).MatchString(limits) {
		t.Errorf("the gateway may leave a core dump:\n%s", limits)
	}
	p.stop(t)
}
