package service

import (
	"errors"
	"io"
	"strings"

	"samsara.internal/gateway/internal/feed"
)

// follow sends what a feed has, for ever.
func (h *handler) follow(c *client) error {
	f := h.feeds.Follow(c.following())
	defer f.Leave()
	for items := c.walk.MaxItems; ; {
		news, err := f.Next(c.Context(), c.walk.KeepAliveInterval)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case news.KeepAlive != nil:
			err = c.sendKeepAlive(news.KeepAlive)
		default:
			p, _ := news.Page.Content.(*page) // source.Page makes no other
			wanted := min(p.Items, items)
			items -= wanted
			err = c.sendPage(p, wanted, news.Page.Lease)
		}
		if err != nil || items == 0 {
			return err
		}
	}
}

// following says what is followed, and how. Who follows the same shares its reading, unless the call
// wants what was asked for by itself alone.
func (s *source) following() feed.Request {
	var header strings.Builder
	for _, h := range s.call.Header {
		header.WriteString(h.Name + ":" + h.Value + "\n")
	}
	return feed.Request{
		Key: feed.Key{
			Operation: s.stream.FullMethod, Path: s.walk.Path, Query: s.walk.Query, Header: header.String(),
			Tenant: s.call.From.Tenant, RetryAlways: s.call.RetryAlways,
		},
		Alone:        s.call.NoStore,
		As:           s.call.From,
		Cursor:       s.walk.Start,
		PollInterval: s.walk.PollInterval,
		MaxPages:     s.walk.MaxPages,
		Memory:       s.call.Memory,
		Source:       s,
	}
}
