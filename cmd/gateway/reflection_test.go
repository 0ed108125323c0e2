package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"

	tagsv1 "samsara.internal/gateway/gen/tags/v1"
)

// askedFor returns a request to reflection about a symbol.
func askedFor(symbol string) *reflectionv1.ServerReflectionRequest {
	return &reflectionv1.ServerReflectionRequest{
		MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: symbol},
	}
}

// wantFiles checks that an answer of reflection has files.
func wantFiles(t *testing.T, answer *reflectionv1.ServerReflectionResponse, err error) {
	t.Helper()
	if n := len(answer.GetFileDescriptorResponse().GetFileDescriptorProto()); err != nil || n == 0 {
		t.Fatalf("reflection answered %d files, %v (%v)", n, err, answer.GetErrorResponse())
	}
}

// TestReflection_idleStreamsHoldNoRoom has a client keep streams of reflection open, as tools do, before
// their first question and after it. Its other calls go on, and those of other clients do too.
func TestReflection_idleStreamsHoldNoRoom(t *testing.T) {
	t.Parallel()
	const idle = 40 // more than all connections have room for
	_, at := startSandboxed(t)
	conn, other := connect(t, at.GRPC, insecure.NewCredentials()), connect(t, at.GRPC, insecure.NewCredentials())
	checkServed := func(when string) {
		t.Helper()
		for name, client := range map[string]*grpc.ClientConn{"their connection": conn, "another connection": other} {
			if _, err := tagsv1.NewTagsServiceClient(client).ListTags(withTimeout(t, 10*time.Second), &tagsv1.ListTagsRequest{}); err != nil {
				t.Fatalf("with %d idle streams %s, a call on %s: %v", idle, when, name, verdictOf(err))
			}
		}
		if held := metric(t, at.Admin, "samsara_gateway_memory_bytes", `holder="requests"`); held != 0 {
			t.Errorf("with %d idle streams %s, %v bytes of room are held, want none", idle, when, held)
		}
	}
	ctx := withTimeout(t, 2*patience)
	goroutines := metric(t, at.Admin, "go_goroutines")
	var streams []grpc.BidiStreamingClient[reflectionv1.ServerReflectionRequest, reflectionv1.ServerReflectionResponse]
	for range idle {
		stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
		if err != nil {
			t.Fatal(err)
		}
		streams = append(streams, stream)
	}
	eventually(t, "the gateway has all streams", func() bool {
		return metric(t, at.Admin, "go_goroutines") >= goroutines+idle
	})
	checkServed("before their first question")
	for _, stream := range streams {
		if err := stream.Send(askedFor("samsara_gateway.tags.v1.TagsService")); err != nil {
			t.Fatal(err)
		}
		answer, err := stream.Recv()
		wantFiles(t, answer, err)
	}
	checkServed("behind their first question")
	for _, stream := range streams {
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("a stream without a further question: %v, want OK", err)
		}
	}
}

// TestReflection_halfSentQuestion withholds the last byte of a question. As for every request, room is held
// for it until its connection is over.
func TestReflection_halfSentQuestion(t *testing.T) {
	t.Parallel()
	_, at := startSandboxed(t)
	held := func() float64 { return metric(t, at.Admin, "samsara_gateway_memory_bytes", `holder="requests"`) }
	c := rawCalls{
		Address: at.GRPC, Window: wideOpen, Method: reflectionv1.ServerReflection_ServerReflectionInfo_FullMethodName,
		Request: encoded(t, askedFor(strings.Repeat("x", 1<<20)), false), Withheld: 1, Calls: 1,
	}.start(t)
	eventually(t, "room is held", func() bool { return held() == 4<<20 })
	c.close()
	eventually(t, "the room is freed", func() bool { return held() == 0 })
}

// TestReflection_questionsOfEveryForm sends compressed, too large and malformed questions. They are read as
// grpc reads the requests of every other method.
func TestReflection_questionsOfEveryForm(t *testing.T) {
	t.Parallel()
	const ok, internal, exhausted = "0", "13", "8"
	_, at := startSandboxed(t, "--max-request-bytes=64KiB")
	question := askedFor("samsara_gateway.tags.v1.TagsService")
	gzipHeader := []string{"grpc-encoding", "gzip"}
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	_, _ = w.Write(make([]byte, 1<<20))
	_ = w.Close()
	for name, test := range map[string]struct {
		request []byte
		header  []string
		want    string // the status
		text    string
	}{
		"as it is":                         {request: encoded(t, question, false), want: ok},
		"in gzip":                          {request: encoded(t, question, true), header: gzipHeader, want: ok},
		"several":                          {request: slices.Concat(encoded(t, question, true), encoded(t, question, false)), header: gzipHeader, want: ok},
		"as large as allowed":              {request: encoded(t, askedFor(strings.Repeat("x", 64<<10-4)), false), want: ok},
		"larger":                           {request: encoded(t, askedFor(strings.Repeat("x", 64<<10-3)), false), want: exhausted, text: "received message larger than max (65537 vs. 65536)"},
		"larger when decompressed":         {request: framed(true, bomb.Bytes()), header: gzipHeader, want: exhausted, text: "after decompression larger than max 65536"},
		"not a message":                    {request: framed(false, []byte("\xff\xff\xff")), want: internal, text: "failed to unmarshal"},
		"not gzip":                         {request: framed(true, []byte("no")), header: gzipHeader, want: internal, text: "failed to decompress"},
		"compressed, without its encoding": {request: encoded(t, question, true), want: internal, text: "compressed flag set"},
		"an unknown flag":                  {request: append([]byte{2}, encoded(t, question, false)[1:]...), want: internal, text: "payload format 2"},
		"a header that ends early":         {request: []byte{0, 0, 0}, want: internal, text: "unexpected EOF"},
		"a question that ends early":       {request: encoded(t, question, false)[:20], want: internal, text: "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := rawCalls{
				Address: at.GRPC, Window: wideOpen, Method: reflectionv1.ServerReflection_ServerReflectionInfo_FullMethodName,
				Header: test.header, Request: test.request, Calls: 1,
			}.start(t)
			s := c.only()
			c.await(t, s)
			if got, text := s.header["grpc-status"], s.header["grpc-message"]; got != test.want || !strings.Contains(text, test.text) {
				t.Errorf("got status %s, %q, want %s with %q", got, text, test.want, test.text)
			}
			if test.want == ok && name != "as large as allowed" {
				answer := new(reflectionv1.ServerReflectionResponse)
				s.answered(t, answer)
				wantFiles(t, answer, nil)
			}
		})
	}
}

// TestReflection_idleStreamEndsWithTheGateway stops the gateway while a stream of reflection waits for its
// next question. The stream ends with a status, and does not delay the stop.
func TestReflection_idleStreamEndsWithTheGateway(t *testing.T) {
	t.Parallel()
	p, at := startSandboxed(t)
	stream, err := reflectionv1.NewServerReflectionClient(connect(t, at.GRPC, insecure.NewCredentials())).ServerReflectionInfo(waiting(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(askedFor("samsara_gateway.tags.v1.TagsService")); err != nil {
		t.Fatal(err)
	}
	answer, err := stream.Recv()
	wantFiles(t, answer, err)
	began := time.Now()
	p.stop(t)
	_, err = stream.Recv()
	t.Logf("stopped after %v; the stream ended with %v", time.Since(began).Round(time.Millisecond), verdictOf(err))
	if v := verdictOf(err); v.reason != "REQUEST_CANCELLED" {
		t.Errorf("the stream ended with %v, want REQUEST_CANCELLED: its connection was closed without a status", v)
	}
}
