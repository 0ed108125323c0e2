package upstream_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"samsara.internal/gateway/upstream"
)

// script is an upstream on an in-memory network that answers one request by these bytes, and every
// other one, on whatever connection, by another response.
type script struct {
	answer string
	ends   bool // the connection, after the answer
	reused bool // the answer is to the second request, on the connection of the first

	mu       sync.Mutex
	requests int
	dials    int
	serving  sync.WaitGroup
}

func (s *script) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	s.mu.Lock()
	s.dials++
	s.mu.Unlock()
	s.serving.Go(func() {
		defer func() { _ = server.Close() }()
		for in := bufio.NewReader(server); ; {
			req, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, req.Body); err != nil {
				return
			}
			s.mu.Lock()
			s.requests++
			scripted := s.requests == 1 && !s.reused || s.requests == 2 && s.reused
			s.mu.Unlock()
			answer := "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain"
			if scripted {
				answer = s.answer
			}
			if _, err := io.WriteString(server, answer); err != nil || scripted && s.ends {
				return
			}
		}
	})
	return client, nil
}

// verdict calls, and returns what became of it and how many connections this call and the next took.
// The next must have its own response at its first attempt.
func (s *script) verdict(t *testing.T, req *request) string {
	t.Helper()
	client := newClient(t, upstream.Config{
		BaseURL: mustURL(t, "http://"+testHost), Token: upstream.StaticToken(testToken), Retry: upstream.RetryPolicy{MaxAttempts: 1},
		Transport: upstream.TransportConfig{DialContext: s.dial},
	})
	if s.reused {
		if _, err := client.Do(t.Context(), get("/first")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
	}
	got := ""
	resp, err := client.Do(t.Context(), req)
	var failed *upstream.Error
	switch {
	case errors.As(err, &failed):
		got = fmt.Sprintf("%s %d", failed.ReasonText(), failed.HTTPStatus)
	case err != nil:
		t.Fatal(err)
	default:
		got = fmt.Sprintf("%d %q", resp.Status, resp.Body)
	}
	resp, err = client.Do(t.Context(), get("/again"))
	if err != nil || string(resp.Body) != "again" || resp.Attempts != 1 {
		t.Errorf("the next call got %+v, %v, want its own response", resp, err)
	}
	client.Close()
	synctest.Wait()
	s.serving.Wait()
	return fmt.Sprintf("%s, %d", got, s.dials)
}

// TestTransport_verdict runs a script of answers. A verdict is the status with the body or the error, and
// on how many connections that call and the next were made. Those of net/http were the same, except after
// a 408 on a connection used again, which it takes for the answer, and after an informational response
// of HTTP/2.0, which it does not see.
func TestTransport_verdict(t *testing.T) {
	t.Parallel()
	const (
		ok      = "HTTP/1.1 200 OK\r\n"
		length  = ok + "Content-Length: 2\r\n"
		whole   = length + "\r\nok"
		chunked = ok + "Transfer-Encoding: chunked\r\n\r\n"
		tooLate = "HTTP/1.1 408 Request Time-out\r\nContent-Length: 0\r\n"

		good    = `200 "ok", 1`
		goodEnd = `200 "ok", 2` // the connection is not used again
		reset   = "UPSTREAM_RESET 0, 2"
		broken  = "UPSTREAM_RESET 200, 2"
		cut     = "UPSTREAM_TRUNCATED 200, 2"
		cutHead = "UPSTREAM_TRUNCATED 0, 2"
	)
	for _, test := range []struct {
		name, answer string
		ends         bool
		reused, post bool
		want         string
	}{
		{name: "a body of known length", answer: whole, want: good},
		{name: "chunks", answer: chunked + "2\r\nok\r\n0\r\n\r\n", want: good},
		{name: "a body until the end", answer: ok + "\r\nok", ends: true, want: goodEnd},

		{name: "HTTP/2.0", answer: "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok", want: reset},
		{name: "HTTP/3.7", answer: "HTTP/3.7 200 OK\r\nContent-Length: 2\r\n\r\nok", want: reset},
		{name: "HTTP/0.9", answer: "HTTP/0.9 200 OK\r\nContent-Length: 2\r\n\r\nok", want: reset},
		{name: "HTTP/1.2", answer: "HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok", want: good},
		{name: "HTTP/1.10", answer: "HTTP/1.10 200 OK\r\nContent-Length: 2\r\n\r\nok", want: reset},
		{name: "HTTP/2", answer: "HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\nok", want: reset},
		{name: "http/1.1", answer: "http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", want: reset},
		{name: "ICY", answer: "ICY 200 OK\r\nContent-Length: 2\r\n\r\nok", want: reset},
		{name: "HTTP/1.0", answer: "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", want: goodEnd},
		{name: "HTTP/1.0 to be kept", answer: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", want: good},
		{name: "a status of two digits", answer: "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok", want: reset},
		{name: "a status of four digits", answer: "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok", want: reset},
		{name: "a status with a sign", answer: "HTTP/1.1 +20 OK\r\nContent-Length: 2\r\n\r\nok", want: "UPSTREAM_UNEXPECTED_STATUS 20, 2"},
		{name: "a negative status", answer: "HTTP/1.1 -20 OK\r\nContent-Length: 2\r\n\r\nok", want: reset},
		{name: "a status below 100", answer: "HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok", want: "UPSTREAM_UNEXPECTED_STATUS 99, 2"},
		{name: "a status without words", answer: "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", want: good},
		{name: "an empty line before", answer: "\r\n" + whole, want: reset},
		{name: "nothing", ends: true, want: reset},
		{name: "an end in the status line", answer: "HTTP/1.1 2", ends: true, want: reset},
		{name: "an end behind the status", answer: "HTTP/1.1 200", ends: true, want: cutHead},
		{name: "an end behind the status line", answer: ok, ends: true, want: cut},
		{name: "an end behind the status line of an error", answer: "HTTP/1.1 404 Not Found\r\n", ends: true, want: "UPSTREAM_TRUNCATED 404, 2"},
		{name: "an end in the header", answer: length, ends: true, want: cut},

		{name: "lines without CR", answer: strings.ReplaceAll(whole, "\r", ""), want: good},
		// Which makes it another name, so that there is no length.
		{name: "a space before the colon", answer: ok + "Content-Length : 2\r\n\r\nok", want: "UPSTREAM_TIMEOUT 200, 2"},
		{name: "a space before the second colon", answer: length + "Content-Length : 3\r\n\r\nok", want: good},
		{name: "a folded value", answer: length + "X: a\r\n b\r\n\r\nok", want: good},
		{name: "a folded first line", answer: ok + " X: a\r\nContent-Length: 2\r\n\r\nok", want: broken},
		{name: "a line without colon", answer: length + "X\r\n\r\nok", want: broken},
		{name: "an empty name", answer: length + ": x\r\n\r\nok", want: broken},
		{name: "a name with a space", answer: length + "X Y: x\r\n\r\nok", want: good},
		{name: "a NUL in a value", answer: length + "X: a\x00b\r\n\r\nok", want: broken},
		{name: "a CR in a value", answer: length + "X: a\rb\r\n\r\nok", want: broken},
		{name: "a header above its limit", answer: length + "X: " + strings.Repeat("a", 64<<10) + "\r\n\r\nok", want: broken},
		{name: "a header below its limit", answer: length + "X: " + strings.Repeat("a", 60<<10) + "\r\n\r\nok", want: good},

		{name: "one length twice", answer: length + "Content-Length: 2\r\n\r\nok", want: good},
		{name: "two lengths", answer: length + "Content-Length: 3\r\n\r\nok", want: broken},
		{name: "a list of lengths", answer: ok + "Content-Length: 2, 2\r\n\r\nok", want: broken},
		{name: "a negative length", answer: ok + "Content-Length: -2\r\n\r\nok", want: broken},
		{name: "a length with a sign", answer: ok + "Content-Length: +2\r\n\r\nok", want: broken},
		{name: "a length above 63 bits", answer: ok + "Content-Length: 9223372036854775808\r\n\r\nok", want: broken},
		{name: "an empty length", answer: ok + "Content-Length: \r\n\r\nok", want: broken},
		{name: "chunks and a length", answer: length + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", want: good},
		{name: "chunks twice", answer: ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", want: broken},
		{name: "gzip, chunked", answer: ok + "Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", want: broken},
		{name: "identity", answer: length + "Transfer-Encoding: identity\r\n\r\nok", want: broken},
		{name: "xchunked", answer: ok + "Transfer-Encoding: xchunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", want: broken},
		{name: "chunks of HTTP/1.0", answer: "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", ends: true, want: `200 "2\r\nok\r\n0\r\n\r\n", 2`},

		{name: "a chunk of no number", answer: chunked + "zz\r\nok\r\n0\r\n\r\n", want: broken},
		{name: "a negative chunk", answer: chunked + "-2\r\nok\r\n0\r\n\r\n", want: broken},
		{name: "a chunk of 0x2", answer: chunked + "0x2\r\nok\r\n0\r\n\r\n", want: broken},
		{name: "a chunk above 64 bits", answer: chunked + "10000000000000000\r\nok\r\n0\r\n\r\n", want: broken},
		{name: "a chunk longer than said", answer: chunked + "1\r\nok\r\n0\r\n\r\n", want: broken},
		{name: "a chunk with an extension", answer: chunked + "2;a=b\r\nok\r\n0\r\n\r\n", want: good},
		{name: "a chunk size above its limit", answer: chunked + "2;" + strings.Repeat("a", 4<<10) + "\r\nok\r\n0\r\n\r\n", want: broken},
		{name: "chunk lines without CR", answer: chunked + "2\nok\n0\n\n", want: broken},
		{name: "no last chunk", answer: chunked + "2\r\nok\r\n", ends: true, want: cut},
		{name: "no end of the trailer", answer: chunked + "2\r\nok\r\n0\r\n", ends: true, want: broken},
		{name: "a trailer", answer: chunked + "2\r\nok\r\n0\r\nX: a\r\n\r\n", want: good},
		{name: "a malformed trailer", answer: chunked + "2\r\nok\r\n0\r\nX\r\n\r\n", want: broken},
		{name: "a body that is cut", answer: ok + "Content-Length: 3\r\n\r\nok", ends: true, want: cut},

		{name: "a second response", answer: whole + whole, want: goodEnd},
		{name: "a second response after chunks", answer: chunked + "2\r\nok\r\n0\r\n\r\n" + whole, want: goodEnd},
		{name: "an empty line more", answer: whole + "\r\n", want: goodEnd},
		{name: "more than its length", answer: whole + "!", want: goodEnd},
		{name: "an informational response after", answer: whole + "HTTP/1.1 103 Early Hints\r\n\r\n", want: goodEnd},
		{name: "a body of 204", answer: "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", want: `204 "", 2`},
		{name: "chunks of 204", answer: "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", want: `204 "", 2`},
		{name: "a body of 304", answer: "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nok", want: "UPSTREAM_UNEXPECTED_STATUS 304, 2"},
		{name: "304 with the length of what it is about", answer: "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", want: "UPSTREAM_UNEXPECTED_STATUS 304, 1"},

		{name: "100 before", answer: "HTTP/1.1 100 Continue\r\n\r\n" + whole, want: good},
		{name: "many 103 before", answer: strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 100) + whole, want: good},
		{name: "103 above the limit of headers", answer: strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 3000) + whole, want: reset},
		{name: "103 of HTTP/2.0 before", answer: "HTTP/2.0 103 Early Hints\r\n\r\n" + whole, want: reset},
		{name: "103 before a header that is cut", answer: "HTTP/1.1 103 Early Hints\r\n\r\n" + length, ends: true, want: cut},
		{name: "103 and no more", answer: "HTTP/1.1 103 Early Hints\r\n\r\n", ends: true, want: cutHead},
		{name: "101", answer: "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", want: "UPSTREAM_UNEXPECTED_STATUS 101, 2"},
		{name: "408 to the first request", answer: "HTTP/1.1 408 Request Time-out\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", want: "REQUEST_TIMEOUT 408, 2"},
		{name: "to be closed", answer: length + "Connection: close\r\n\r\nok", want: goodEnd},
		{name: "to be closed, in a list", answer: length + "Connection: x, Close\r\n\r\nok", want: goodEnd},

		{name: "an end on a connection used again", reused: true, ends: true, want: `200 "again", 2`},
		{name: "an end for a POST", reused: true, ends: true, post: true, want: reset},
		{name: "408 on a connection used again", reused: true, answer: tooLate + "Connection: close\r\n\r\n", want: `200 "again", 2`},
		{name: "408 for a POST", reused: true, post: true, answer: tooLate + "Connection: close\r\n\r\n", want: "UPSTREAM_UNREACHABLE 0, 2"},
		{name: "408 on a connection that is kept", reused: true, answer: tooLate + "\r\n", want: "REQUEST_TIMEOUT 408, 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &script{answer: test.answer, ends: test.ends, reused: test.reused}
				req := get("/x")
				if test.post {
					req = post("{}")
				}
				if got := s.verdict(t, req); got != test.want {
					t.Errorf("got %s, want %s", got, test.want)
				}
			})
		})
	}
}
