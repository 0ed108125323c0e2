package service

import (
	"context"
	"time"
)

// follow sends what a feed has, for ever.
func (h *handler) follow(c *client) error {
	fo := h.feeds.follow(c.source)
	defer h.feeds.leave(fo)
	items := c.walk.MaxItems
	silence := time.NewTimer(c.walk.KeepAliveInterval)
	defer silence.Stop()
	for silent := false; ; {
		if err := context.Cause(h.stopping); err != nil {
			return err
		}
		news := h.feeds.take(fo)
		switch {
		case news.err != nil:
			return news.err
		case news.page != nil:
			wanted := min(news.page.Items, items)
			items -= wanted
			news.lease.Then(func() { h.feeds.freed(fo) })
			err := c.sendPage(news.page, wanted, news.lease)
			if err != nil || items == 0 || news.pages >= c.walk.MaxPages {
				return err
			}
		case news.pages >= c.walk.MaxPages:
			return nil
		case silent:
			m := newMessage(news.cursor)
			if err := m.setKeepAlive(news.keepAlive); err != nil {
				return err
			}
			if err := c.send(m, news.cursor); err != nil {
				return err
			}
		default:
			select {
			case <-news.changed:
			case <-silence.C:
				silent = true
			case <-h.stopping.Done():
			case <-c.Context().Done():
				return c.Context().Err()
			}
			continue
		}
		silent = false
		silence.Reset(c.walk.KeepAliveInterval)
	}
}
