#!/usr/bin/env bash
# A refresh that the token server refuses is sent twice by golang.org/x/oauth2, the second time with the same refresh token.
#
# Guess: one call of Token() is one request. A server whose refresh tokens are good for one use then sees each once.
# What happens: while the library does not know yet how the server wants the client's credentials, any failure of the first
#   request (a status, or a connection that breaks after the server has read it) makes it try the other way, with the
#   same refresh token. A server that takes the reuse of a refresh token for theft revokes the whole grant by that. With
#   Endpoint.AuthStyle set there is one request.
# Versions: golang.org/x/oauth2 v0.38.0, go1.26. Seen 2026-12-01:
#
#   not set, status 503: 2 requests with token-1
#   not set, connection lost: 2 requests with token-1
#   set, status 503: 1 requests with token-1
#   set, connection lost: 1 requests with token-1
#
# Exits 0 if that is still so, 1 if it changed, 2 if it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat >go.mod <<'M'
module finding

go 1.26

require golang.org/x/oauth2 v0.38.0
M
cat >main.go <<'G'
package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"

	"golang.org/x/oauth2"
)

func main() {
	for _, style := range []struct {
		name  string
		style oauth2.AuthStyle
	}{{"not set", oauth2.AuthStyleAutoDetect}, {"set", oauth2.AuthStyleInHeader}} {
		for _, failure := range []struct {
			name   string
			answer func(w http.ResponseWriter)
		}{
			{"status 503", func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) }},
			{"connection lost", func(w http.ResponseWriter) {
				if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
					conn.Close()
				}
			}},
		} {
			var requests atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.FormValue("refresh_token") == "token-1" {
					requests.Add(1)
				}
				failure.answer(w)
			}))
			cfg := oauth2.Config{ClientID: "c", ClientSecret: "s", Endpoint: oauth2.Endpoint{TokenURL: server.URL, AuthStyle: style.style}}
			// HTTP clients repeat a request on a connection that was idle. Here each request has one of its own.
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			ctx := context.WithValue(context.Background(), oauth2.HTTPClient, client)
			_, err := cfg.TokenSource(ctx, &oauth2.Token{RefreshToken: "token-1"}).Token()
			if err == nil {
				fmt.Println("a token came")
			}
			fmt.Printf("%s, %s: %d requests with token-1\n", style.name, failure.name, requests.Load())
			server.Close()
		}
	}
}
G
go mod tidy >&2 || exit 2
seen=$(go run .) || exit 2
echo "$seen"
[[ $seen == 'not set, status 503: 2 requests with token-1
not set, connection lost: 2 requests with token-1
set, status 503: 1 requests with token-1
set, connection lost: 1 requests with token-1' ]]
