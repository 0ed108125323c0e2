package explain

import (
	"context"
	"math"
	"strconv"
	"strings"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/catalog"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/transcode"
	"samsara.internal/gateway/upstream"
)

// cursorPlaceholder stands for the cursor of a page that has not been asked for.
const cursorPlaceholder = "CURSOR"

func (x *Explainer) walk(ctx context.Context, m catalog.Method, op *upstream.Operation, walk *endpoint.Walk) (*Walk, error) {
	w := &Walk{
		CursorField: endpoint.FromCursor, Follow: m.Stream.Follow,
		Numbered: m.Operation.GetPagination() == apiv1.Pagination_PAGINATION_PAGE_NUMBER,
		MaxPages: bound(walk.MaxPages), MaxItems: bound(walk.MaxItems),
	}
	if w.Follow {
		w.PollSeconds, w.KeepAliveSeconds = walk.PollInterval.Seconds(), walk.KeepAliveInterval.Seconds()
	}
	cursor := cursorPlaceholder
	if w.Numbered {
		number, _ := strconv.ParseUint(walk.Start, 10, 32) // Bind has checked that it is one.
		cursor = strconv.FormatUint(number+1, 10)
	}
	next := walk.Request(cursor)
	preview, err := x.Client.Preview(ctx, op, upstream.Call{Path: next.Path, Query: next.Query})
	if err != nil {
		return nil, err
	}
	w.NextURL = preview.Request.URL.String()
	return w, nil
}

// bound returns n, or 0 if there is no bound.
func bound(n int64) int64 {
	if n == math.MaxInt64 {
		return 0
	}
	return n
}

// page returns how large the pages of an operation are, nil if it has none.
func page(e *endpoint.Endpoint) *Page {
	if e.Operation.GetPagination() == apiv1.Pagination_PAGINATION_UNSPECIFIED {
		return nil
	}
	p := &Page{}
	for _, fd := range e.QueryFields {
		if options := transcode.FieldOptions(fd); transcode.WireName(fd) == "limit" && !options.GetRetired() {
			p.SizeField, p.Default, p.Max = string(fd.Name()), options.GetDefault(), options.GetMaximum()
		}
	}
	return p
}

func streams(e *endpoint.Endpoint) []Stream {
	var all []Stream
	for _, s := range e.Streams {
		stream := Stream{Method: strings.TrimPrefix(s.FullMethod, "/"), Follow: s.Follow, CursorField: endpoint.FromCursor}
		if s.Follow {
			stream.PollSeconds = endpoint.MinPollInterval.Seconds()
		}
		all = append(all, stream)
	}
	return all
}
