package service

import (
	"context"
	"errors"
	"io"
	"strings"

	"samsara.internal/gateway/internal/feed"
)

// follow sends the pages of a feed, without end.
func (h *handler) follow(c *client) error {
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	defer context.AfterFunc(c.ending, cancel)()
	f := h.feeds.Follow(c.following())
	defer f.Leave()
	for items := c.walk.MaxItems; ; {
		news, err := f.Next(ctx, c.walk.KeepAliveInterval)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case news.KeepAlive != nil:
			err = c.sendKeepAlive(news.KeepAlive)
		default:
			p, _ := news.Page.Content.(*page) // walker.Page makes no other
			wanted := min(p.Items, items)
			items -= wanted
			err = c.sendPage(p, wanted, news.Page.Lease)
		}
		if err != nil || items == 0 {
			return err
		}
	}
}

// following returns what is followed, and how. Streams that follow the same share a reader, unless the call
// wants only what was asked for by itself.
func (w *walker) following() feed.Request {
	var header strings.Builder
	for _, h := range w.request.Header {
		header.WriteString(h.Name + ":" + h.Value + "\n")
	}
	return feed.Request{
		Key: feed.Key{
			Operation: w.stream.FullMethod, Path: w.walk.Path, Query: w.walk.Query, Header: header.String(),
			Tenant: w.organization.key, RetryAlways: w.request.RetryAlways,
		},
		Alone:        w.request.NoStore,
		As:           w.request.From,
		Cursor:       w.walk.Start,
		PollInterval: w.walk.PollInterval,
		MaxPages:     w.walk.MaxPages,
		Memory:       w.request.Memory,
		Pages:        w,
	}
}
