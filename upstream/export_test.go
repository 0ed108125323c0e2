package upstream

import (
	"io"
	"log/slog"

	"samsara.internal/gateway/internal/quota"
)

// InFlightBytes returns how much memory response bodies and messages hold now, those included
// that have not been released. See Config.Memory.
func (c *Client) InFlightBytes() int64 { return c.cfg.Memory.Used() }

// AdmittedBy returns the operation with another quota.
func (o *Operation) AdmittedBy(limits *quota.Operation) *Operation {
	other := *o
	other.quota = limits
	return &other
}

// CircuitOf returns the state of the circuit of an operation for a caller.
func (c *Client) CircuitOf(operation, caller string) Circuit {
	r := c.admit.records.of(scope{operation: operation, caller: caller})
	if r == nil {
		return CircuitClosed
	}
	return r.circuit.current()
}

// TextLog returns a logger of lines without a time.
func TextLog(to io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(to, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}
