package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	vehiclesv1 "samsara.internal/gateway/gen/vehicles/v1"
)

const (
	// upstreamName is the host of an upstream that only the proxy can resolve.
	upstreamName = "upstream.test"
	// upstreamAddress is the address that the gateway asks the proxy for.
	upstreamAddress = upstreamName + ":443"
	// proxySecret is the password at the proxy, plain, as in a URL, and as in a header.
	proxySecret, proxySecretInURL, proxyCredentials = "let me, in", "let%20me,%20in", "Basic Z2F0ZTpsZXQgbWUsIGlu"
)

// startProxy starts a proxy that connects to one upstream and requires the password. It returns its URL,
// with user and password.
func startProxy(t *testing.T, scheme string, cfg *tls.Config, upstream string, notes *passed) (url string) {
	t.Helper()
	return startScriptedProxy(t, scheme, cfg, func(conn net.Conn) {
		handshake := connectHandshake
		if scheme == "socks5" {
			handshake = socksHandshake
		}
		if err := handshake(conn); err != nil {
			t.Logf("proxy: %v", err)
			hangUp(conn)
			return
		}
		passOn(t.Context(), conn, upstream, notes)
	})
}

// startScriptedProxy starts a proxy that serves each connection with serve, and returns its URL.
func startScriptedProxy(t *testing.T, scheme string, cfg *tls.Config, serve func(net.Conn)) (url string) {
	t.Helper()
	port := serveConns(t, func(conn net.Conn) {
		if scheme == "https" {
			conn = tls.Server(conn, cfg)
		}
		defer context.AfterFunc(t.Context(), func() { hangUp(conn) })()
		serve(conn)
	})
	return scheme + "://gate:" + proxySecretInURL + "@localhost:" + port
}

// connectHandshake answers a CONNECT. It reads to the end of the header and no further, because the tunnel
// begins there.
func connectHandshake(conn net.Conn) error {
	var head []byte
	for one := make([]byte, 1); !bytes.HasSuffix(head, []byte("\r\n\r\n")); head = append(head, one...) {
		if _, err := io.ReadFull(conn, one); err != nil {
			return err
		}
	}
	for _, want := range []string{"CONNECT " + upstreamAddress + " HTTP/1.1\r\nHost: " + upstreamAddress + "\r\n", "\r\nProxy-Authorization: " + proxyCredentials + "\r\n"} {
		if !strings.Contains(string(head), want) {
			_, _ = io.WriteString(conn, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
			return fmt.Errorf("%q has no %q", head, want)
		}
	}
	_, err := io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n")
	return err
}

// socksHandshake is the handshake of RFC 1928, with a password as in RFC 1929, for a host name.
func socksHandshake(conn net.Conn) error {
	name := append([]byte{5, 1, 0, 3, byte(len(upstreamName))}, upstreamName...)
	for _, step := range []struct{ want, answer []byte }{
		{[]byte{5, 2, 0, 2}, []byte{5, 2}},
		{append(append([]byte{1, 4}, "gate"...), append([]byte{byte(len(proxySecret))}, proxySecret...)...), []byte{1, 0}},
		{binary.BigEndian.AppendUint16(name, 443), []byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0}},
	} {
		got := make([]byte, len(step.want))
		if _, err := io.ReadFull(conn, got); err != nil {
			return err
		}
		if !bytes.Equal(got, step.want) {
			return errors.New("not what was wanted")
		}
		if _, err := conn.Write(step.answer); err != nil {
			return err
		}
	}
	return nil
}

// TestProxy_refuses has a proxy that does not connect, in many ways. The gateway has sent nothing, and says
// which proxy failed and why, but never the password.
func TestProxy_refuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer string
		scheme string // of the proxy; http if empty
		want   string // in the message
		hangs  bool
	}{
		"407":                        {answer: "HTTP/1.1 407 " + proxySecret + "\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n", want: "407 Proxy Authentication Required"},
		"403":                        {answer: "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno", want: "403 Forbidden"},
		"502":                        {answer: "HTTP/1.0 502 No\r\n\r\n", want: "502 Bad Gateway"},
		"an invalid status":          {answer: "HTTP/1.1 700 " + proxySecret + "\r\n\r\n", want: "700"},
		"an endless header":          {answer: "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 100<<10), want: "header exceeds its limit"},
		"more than was asked for":    {answer: "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", want: "sent data"},
		"words":                      {answer: "220 mail\r\n" + proxySecret, want: "malformed"},
		"nothing":                    {want: "ended early"},
		"no answer":                  {hangs: true},
		"no answer to SOCKS":         {hangs: true, scheme: "socks5"},
		"no TLS":                     {answer: "HTTP/1.1 400 Bad Request\r\n\r\n", scheme: "https", want: "TLS"},
		"a SOCKS failure":            {answer: "\x05\x00\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00", scheme: "socks5", want: "connection refused"},
		"a SOCKS password not taken": {answer: "\x05\x02\x01\x01", scheme: "socks5", want: "authentication failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			served := "http"
			if test.scheme == "socks5" {
				served = test.scheme
			}
			proxy := startScriptedProxy(t, served, nil, func(conn net.Conn) {
				defer hangUp(conn)
				if test.answer != "" || test.hangs {
					_, _ = conn.Read(make([]byte, 4<<10))
				}
				_, _ = io.WriteString(conn, test.answer)
				if test.answer != "" || test.hangs {
					_, _ = io.Copy(io.Discard, conn)
				}
			})
			if test.scheme == "https" {
				proxy = strings.Replace(proxy, "http:", "https:", 1)
			}
			p, client := startBehind(t, proxy)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			if test.hangs {
				ctx, cancel = context.WithTimeout(t.Context(), time.Second)
			}
			defer cancel()
			_, err := client.ListVehicles(ctx, &vehiclesv1.ListVehiclesRequest{})
			code, reason := codes.Unavailable, "UPSTREAM_UNREACHABLE"
			if test.hangs {
				code = codes.DeadlineExceeded
			} else if got := verdictOf(err).reason; got != reason {
				t.Errorf("reason = %q, want %q: %v", got, reason, err)
			}
			host := proxy[strings.LastIndex(proxy, "@")+1:]
			if got := status.Convert(err); got.Code() != code || !test.hangs && (!strings.Contains(got.Message(), test.want) || !strings.Contains(got.Message(), "proxy "+host)) {
				t.Errorf("got %v, want %v with %q and the proxy %s", got, code, test.want, host)
			}
			p.stop(t)
			wantNoSecrets(t, p, err)
		})
	}
}

// TestProxy_notListening has nobody listen at the address of the proxy.
func TestProxy_notListening(t *testing.T) {
	t.Parallel()
	p, client := startBehind(t, "http://gate:"+proxySecretInURL+"@127.0.0.1:1")
	_, err := client.ListVehicles(waiting(t), &vehiclesv1.ListVehiclesRequest{})
	if got := status.Convert(err); verdictOf(err).reason != "UPSTREAM_UNREACHABLE" || !strings.Contains(got.Message(), "proxy 127.0.0.1:1: ") {
		t.Errorf("got %v", got)
	}
	p.stop(t)
	wantNoSecrets(t, p, err)
}

// TestProxy_setting tries values of the environment.
func TestProxy_setting(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		env  string
		want string
	}{
		"an unknown scheme": {"HTTPS_PROXY=ftp://gate:" + proxySecretInURL + "@proxy.test", `upstream-url "https://upstream.test" (from the command line): HTTPS_PROXY must be a URL of http, https, socks5 or socks5h, is of ftp`},
		"no URL":            {"https_proxy=http://gate:" + proxySecretInURL + "%zz@proxy.test", `upstream-url "https://upstream.test" (from the command line): HTTPS_PROXY must be a URL of http, https, socks5 or socks5h, is none`},
		"no host":           {"https_proxy=http://gate:" + proxySecretInURL + "@:3128", `upstream-url "https://upstream.test" (from the command line): HTTPS_PROXY must have a host`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startIn(t, []string{test.env, "SAMSARA_API_TOKEN=open"}, "--upstream-url=https://"+upstreamName, "--cache=nothing")
			exit := p.wait(t)
			_, text, _ := p.log()
			if exit == nil || exit.ExitCode() != 2 || !strings.Contains(text, test.want) || !strings.Contains(text, "--cache") {
				t.Errorf("exit %v, want 2 with %q and that of --cache:\n%s", exit, test.want, text)
			}
			wantNoSecrets(t, p, nil)
		})
	}
}

// startBehind starts a gateway that uses a proxy and makes one attempt. It returns the gateway and a
// client.
func startBehind(t *testing.T, proxy string, flags ...string) (*process, vehiclesv1.VehiclesServiceClient) {
	t.Helper()
	flags = append(append(flagsAt("https://"+upstreamName, tokenFile(t, "open")), "--retry-max-attempts=1", "--log-level=debug"), flags...)
	p := startIn(t, []string{"HTTPS_PROXY=" + proxy}, flags...)
	return p, vehiclesv1.NewVehiclesServiceClient(connect(t, p.await(t, "serving").GRPC, insecure.NewCredentials()))
}

// wantNoSecrets checks that neither the log nor an error has the password of the proxy.
func wantNoSecrets(t *testing.T, p *process, err error) {
	t.Helper()
	_, text, _ := p.log()
	if err != nil {
		text += err.Error()
	}
	for _, secret := range []string{proxySecret, proxySecretInURL, strings.TrimPrefix(proxyCredentials, "Basic ")} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in:\n%s", secret, text)
		}
	}
}
