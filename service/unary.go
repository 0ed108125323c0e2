package service

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/transcode"
	"samsara.internal/gateway/upstream"
)

// unaryHandler answers one call with a frame or a compressed one. decode reads the request into a message.
type unaryHandler func(ctx context.Context, decode func(any) error) (any, error)

// unary describes a method to grpc. The request is decoded inside the interceptors, and not before them as in
// generated code. So a message that is malformed or too large is logged and counted like every other failure.
// The price is that interceptors do not see the request.
func unary(fullMethod string, answer unaryHandler) grpc.MethodDesc {
	info := &grpc.UnaryServerInfo{FullMethod: fullMethod}
	return grpc.MethodDesc{
		MethodName: fullMethod[strings.LastIndexByte(fullMethod, '/')+1:],
		Handler: func(_ any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
			var made any
			// There always is an interceptor, see Config.unaryInterceptors.
			resp, err := interceptor(ctx, nil, info, func(ctx context.Context, _ any) (any, error) {
				var err error
				made, err = answer(ctx, decode)
				return made, err
			})
			// What does not reach the codec is not released there.
			if f, ok := made.(interface{ Release() }); ok && (err != nil || resp != made) {
				f.Release()
			}
			return resp, err
		},
	}
}

// operation returns the method for one operation of the REST API.
func (h *handler) operation(e *endpoint.Endpoint) grpc.MethodDesc {
	return unary(e.FullMethod, func(ctx context.Context, decode func(any) error) (any, error) {
		from, err := callerOf(ctx)
		if err != nil {
			return nil, err
		}
		org, err := organizationOf(ctx)
		if err != nil {
			return nil, err
		}
		in := request{endpoint: e}
		if err := h.receive(ctx, from, decode, &in); err != nil {
			return nil, err
		}
		h.answering.Add(1)
		defer h.answering.Add(-1)
		if in.refused != nil {
			return nil, refusal(e, in.refused)
		}
		bound := in.bound
		resp, err := h.do(ctx, from, org, org.operations.of[e].unary, upstream.Request{Path: bound.Path, Query: bound.Query, Body: bound.Body})
		if err != nil {
			return nil, err
		}
		return h.framed(ctx, from, org, e.FullMethod, resp), nil
	})
}

// do makes a call with the options of the connection and the caller's metadata. It tells the caller of a
// failure in the trailer, not in a header: a client that has seen a header no longer applies its own retry
// policy.
func (h *handler) do(ctx context.Context, from *caller, org *Organization, op *upstream.Operation, req upstream.Request) (*upstream.Response, error) {
	if err := h.applyMetadata(ctx, from, org, op, &req); err != nil {
		return nil, err
	}
	line := lineOf(ctx)
	line.httpMethod, _ = op.Name(req)
	if line.path = req.Path; line.httpMethod != methodGet {
		if err := h.recordBegun(line); err != nil {
			return nil, err
		}
	}
	req.ID, req.Spent = line.id, &line.spent
	resp, err := org.upstream.Do(ctx, op, req)
	if err == nil {
		err = checkBody(op, req, resp)
	}
	if err != nil {
		var failed *upstream.Error
		if errors.As(err, &failed) {
			line.failed(failed)
			// This fails only if the caller is gone.
			_ = grpc.SetTrailer(ctx, org.metadata(failed.Attempts, failed.RequestID))
		}
		return nil, err
	}
	line.answered(resp)
	return resp, nil
}

// framed sets the header of a success, reports the drift of the response and returns the response as a frame,
// or as a compressed one if grpc may compress it. It releases the response if one of these panics.
func (h *handler) framed(ctx context.Context, from *caller, org *Organization, method string, resp *upstream.Response) any {
	reported := false
	defer func() {
		if !reported {
			resp.Release()
		}
	}()
	header := org.metadata(resp.Attempts, resp.RequestID)
	if resp.Cached {
		header.Set(cacheKey, fmt.Sprintf("hit; age=%d", int64(resp.Age.Seconds())))
	}
	call := grpc.ServerTransportStreamFromContext(ctx)
	_ = call.SetHeader(header) // It fails only if the caller is gone.
	org.reportDrift(ctx, method, resp)
	reported = true
	if !compresses(call) {
		return frame{resp}
	}
	if mayCompress(from.answers, len(resp.Message)) {
		return compressed{resp}
	}
	_ = grpc.SetSendCompressor(ctx, encoding.Identity) // It fails only if the caller is gone.
	return frame{resp}
}

// reportDrift tells the caller and the metrics how the response differed.
func (o *Organization) reportDrift(ctx context.Context, method string, resp *upstream.Response) {
	d := &resp.Drift
	if len(d.Findings()) == 0 {
		return
	}
	_ = grpc.SetTrailer(ctx, metadata.Pairs(driftKey, driftText(d.Findings(), d.Dropped())))
	if o.drift != nil && resp.IsNew() {
		o.drift(method, d.Findings())
	}
}

// checkBody refuses, and releases, a response whose body is passed on as it is and is not JSON. JSON is valid
// UTF-8, and nothing else could be sent.
func checkBody(op *upstream.Operation, req upstream.Request, resp *upstream.Response) error {
	if len(resp.Body) == 0 {
		return nil
	}
	err := transcode.Valid(resp.Body)
	if err == nil {
		return nil
	}
	resp.Release()
	return op.Unfit(req, resp, apiv1.Reason_REASON_UPSTREAM_BODY_INVALID, "the response is "+err.Error(), err)
}
