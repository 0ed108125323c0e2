// Package upstream is the HTTP side of the gateway.
package upstream

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"time"

	"samsara.internal/gateway/internal/transcode"
)

// Config configures a Client.
type Config struct {
	// BaseURL is scheme, host and an optional path prefix.
	BaseURL *url.URL
	// Token returns the API token for an attempt. It is called concurrently.
	Token func() (string, error)
	// APIVersion is sent as X-Samsara-Version; empty: not sent.
	APIVersion string
	UserAgent  string
	Retry      RetryPolicy
	// AttemptTimeout bounds one attempt, from connecting to the last byte of the body.
	AttemptTimeout time.Duration
	// MaxResponseBytes bounds a response body after decompression.
	MaxResponseBytes int64
	Transport        TransportConfig
	Observer         Observer
	Logger           *slog.Logger
}

// RetryPolicy says how attempts are repeated.
type RetryPolicy struct {
	// MaxAttempts includes the first; 1 never repeats.
	MaxAttempts int
	BaseDelay   time.Duration
	MaxDelay    time.Duration
}

// TransportConfig sizes the connections.
type TransportConfig struct {
	// MaxIdleConns is how many idle connections are kept; also per host.
	MaxIdleConns int
	// Gzip asks the upstream for compressed bodies.
	Gzip bool
}

// Attempt is one HTTP attempt as an Observer sees it.
type Attempt struct {
	Method, Template string
	// Status is the HTTP status, 0 where there was no response.
	Status   int
	Duration time.Duration
}

// Observer is told of every attempt, concurrently.
type Observer interface{ ObserveAttempt(ctx context.Context, a Attempt) }

// Header is one header field.
type Header struct{ Name, Value string }

// Request is one call of the REST API.
type Request struct {
	Method string
	// Path is escaped and begins with a slash.
	Path string
	// Query is encoded, without the question mark.
	Query string
	// Body is JSON; nil where none is sent.
	Body []byte
	// Template is the path template, for error metadata and metrics.
	Template string
	// Repeatable is whether an attempt of unknown outcome may be repeated.
	Repeatable bool
	// Header is sent in addition to the client's own.
	Header []Header
	// Decoder translates a 2XX body; nil: the body is returned as it is.
	Decoder *transcode.Decoder
}

// Response is a 2XX response.
type Response struct {
	Status int
	Header []Header
	// Message is the wire form of the decoded body where the request had a Decoder, else nil.
	Message []byte
	// Body is the JSON body where the request had no Decoder, else nil.
	Body      []byte
	Drift     transcode.Drift
	RequestID string
	Attempts  int
}

// Client calls the REST API. It is safe for concurrent use.
type Client struct{}

// New returns a client.
func New(cfg Config) (*Client, error) { return nil, errors.ErrUnsupported }

// Do sends a request, again where the retry policy says so, and returns its 2XX response. Every
// error is an *Error.
func (c *Client) Do(ctx context.Context, req *Request) (*Response, error) {
	return nil, errors.ErrUnsupported
}

// Close closes idle connections.
func (c *Client) Close() {}
