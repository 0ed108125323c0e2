package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	vehiclesv1 "samsara.internal/gateway/gen/vehicles/v1"
)

// rawAnswer is the answer to a call, as it is on the wire.
type rawAnswer struct {
	header  http.Header
	body    []byte
	code    codes.Code
	message string
}

// rawCall makes a call whose body is already encoded, by a client that knows HTTP/2 and not gRPC. Such a
// client needs no codec. A codec would be linked into the gateway too if the gateway is this test binary.
func rawCall(t *testing.T, address, method string, header http.Header, body []byte) (rawAnswer, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+method, bytes.NewReader(body))
	if err != nil {
		return rawAnswer{}, err
	}
	req.Header = header.Clone()
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Te", "trailers")
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols, DisableCompression: true}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport, Timeout: patience}).Do(req)
	if err != nil {
		return rawAnswer{}, err
	}
	answer := rawAnswer{header: res.Header}
	answer.body, err = io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return rawAnswer{}, err
	}
	of := func(key string) string { return cmp.Or(res.Trailer.Get(key), res.Header.Get(key)) }
	code, err := strconv.Atoi(of("Grpc-Status"))
	answer.code, answer.message = codes.Code(code), of("Grpc-Message")
	return answer, err
}

// gzipped returns text in gzip.
func gzipped(t *testing.T, text io.Reader) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(w, text)
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// framed returns a message with the prefix of gRPC.
func framed(compressed bool, message []byte) []byte {
	flag := byte(0)
	if compressed {
		flag = 1
	}
	return append(binary.BigEndian.AppendUint32([]byte{flag}, uint32(len(message))), message...)
}

// unframed returns the one message of an answer, decompressed, and whether it was compressed.
func unframed(t *testing.T, body []byte) (message []byte, compressed bool) {
	t.Helper()
	if len(body) < 5 || int(binary.BigEndian.Uint32(body[1:])) != len(body)-5 {
		t.Fatalf("not one message: %d bytes", len(body))
	}
	if body[0] == 0 {
		return body[5:], false
	}
	r, err := gzip.NewReader(bytes.NewReader(body[5:]))
	if err != nil {
		t.Fatal(err)
	}
	if message, err = io.ReadAll(r); err != nil {
		t.Fatal(err)
	}
	return message, true
}

var gzipHeader = http.Header{"Grpc-Encoding": {"gzip"}, "Grpc-Accept-Encoding": {"gzip"}}

// TestCompression_gzipRequest is the case of shared/cases/06-gzip-request.json: the upstream answers an
// empty page, the client compresses, and the call ends with OK.
func TestCompression_gzipRequest(t *testing.T) {
	t.Parallel()
	upstream := serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"data":[],"pagination":{"endCursor":"","hasNextPage":false}}`)
	}))
	at := startAgainst(t, upstream)
	request, err := proto.Marshal(&vehiclesv1.ListVehiclesRequest{Limit: proto.Int32(512)})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := rawCall(t, at.GRPC, vehiclesv1.VehiclesService_ListVehicles_FullMethodName, gzipHeader,
		framed(true, gzipped(t, bytes.NewReader(request))))
	if err != nil || answer.code != codes.OK {
		t.Fatalf("ListVehicles: %v, code %v, %q; want OK", err, answer.code, answer.message)
	}
	if got := answer.header.Get("Grpc-Encoding"); got != "gzip" {
		t.Errorf("the answer is encoded with %q, want gzip", got)
	}
	message, compressed := unframed(t, answer.body)
	var page vehiclesv1.ListVehiclesResponse
	if err := proto.Unmarshal(message, &page); err != nil || page.GetPagination().HasNextPage == nil || !compressed {
		t.Errorf("the answer is %v, %v, compressed %t", &page, err, compressed)
	}
	// A client that does not compress gets the answer as before.
	answer, err = rawCall(t, at.GRPC, vehiclesv1.VehiclesService_ListVehicles_FullMethodName, http.Header{}, framed(false, request))
	if err != nil || answer.code != codes.OK || answer.header.Get("Grpc-Encoding") != "" {
		t.Fatalf("ListVehicles without gzip: %v, code %v, encoding %q", err, answer.code, answer.header.Get("Grpc-Encoding"))
	}
	if _, compressed := unframed(t, answer.body); compressed {
		t.Error("an answer is compressed for a client that did not ask for it")
	}
	if sum := metric(t, at.Admin, "samsara_gateway_calls_total", `/ListVehicles"`, `code="OK"`); sum != 2 {
		t.Errorf("%v calls were counted, want 2", sum)
	}
}

// TestCompression_ghz compresses with a client that is a separate process.
func TestCompression_ghz(t *testing.T) {
	t.Parallel()
	_, at := startSandboxed(t)
	out, err := output(t, "ghz", "--insecure", "--enable-compression", "--call", "samsara_gateway.vehicles.v1.VehiclesService/ListVehicles",
		"-d", "{}", "-n", "20", "--format", "json", at.GRPC)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var report struct {
		Codes map[string]int `json:"statusCodeDistribution"`
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || report.Codes["OK"] != 20 {
		t.Errorf("got %+v, %v, want 20 OK:\n%s", report, err, out)
	}
}

// TestCompression_bomb sends requests of 200 KB that decompress to 200 MB, many at a time.
func TestCompression_bomb(t *testing.T) {
	t.Parallel()
	p, at := startSandboxed(t)
	const bombs, size = 16, 200 << 20
	bomb := framed(true, gzipped(t, io.LimitReader(zeros{}, size)))
	var all sync.WaitGroup
	for range bombs {
		all.Go(func() {
			answer, err := rawCall(t, at.GRPC, vehiclesv1.VehiclesService_ListVehicles_FullMethodName, gzipHeader, bomb)
			if err != nil || answer.code != codes.ResourceExhausted {
				t.Errorf("a bomb: %v, code %v, %q; want ResourceExhausted", err, answer.code, answer.message)
			}
		})
	}
	all.Wait()
	eventually(t, "all calls are counted", func() bool { // They are counted after the answer was sent.
		return metric(t, at.Admin, "samsara_gateway_calls_total", `/ListVehicles"`, `code="ResourceExhausted"`) == bombs
	})
	eventually(t, "bombs are logged", func() bool { // At most ten lines a second are.
		lines, _, _ := p.log()
		return count(lines, "call finished", codes.ResourceExhausted) > 0
	})
	// Sys never shrinks. The bound is ten times what the gateway may take: 16 requests of 4 MiB.
	if sys := metric(t, at.Admin, "go_memstats_sys_bytes"); sys > 640<<20 {
		t.Errorf("the gateway took %.0f MiB", sys/(1<<20))
	}
}

// zeros is an endless reader of zero bytes.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// count returns how many lines have a message and a code.
func count(lines []logLine, message string, code codes.Code) int {
	n := 0
	for _, line := range lines {
		if line.Message == message && line.Code == code.String() {
			n++
		}
	}
	return n
}

// startAgainst runs a gateway before an upstream on this machine.
func startAgainst(t *testing.T, upstream string, args ...string) logLine {
	t.Helper()
	_, at := startBefore(t, against(t, upstream), args...)
	return at
}

// against returns the flags of a gateway before an upstream on this machine, with a token that occurs
// nowhere else.
func against(t *testing.T, upstream string) []string {
	t.Helper()
	return flagsAt("http://"+upstream, tokenFile(t, upstreamToken))
}

// upstreamToken is the API token of a gateway that startAgainst runs.
const upstreamToken = "samsara_api_Zq+7/bY=x9"
