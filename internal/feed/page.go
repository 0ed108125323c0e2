package feed

import (
	"context"
	"slices"
	"time"

	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/lease"
)

// Pages asks for the pages of a feed. The Pages of all followers with the same Key ask for the same.
type Pages interface {
	// Page asks for the page at cursor in the name of as. by holds the page's memory. Page returns soon after
	// ctx ends. A page with records names a cursor, and the lease of every page is set.
	Page(ctx context.Context, cursor string, as identity.Identity, by *lease.Holder) (*Page, error)
	// Outlast reports whether the feed goes on after an error of Page, and returns what its followers are
	// told of it meanwhile; false: err ends the feed.
	Outlast(err error) (Failure, bool)
}

// Page is one page of a feed. Nobody writes to it.
type Page struct {
	// Cursor asks for what follows; empty: the page names none.
	Cursor string
	// More is whether the page says that another one follows.
	More bool
	// Items is the number of its records.
	Items int64
	// Tells is whether followers get the page even if it has no records. Its cursor must then be another one
	// than it was asked for with.
	Tells bool
	// Bytes is how long it is.
	Bytes int
	// Lease is its memory, which belongs to whoever has the page.
	Lease *lease.Lease
	// Content belongs to Pages. A feed does not look at it.
	Content any
}

// Failure is what a feed outlasts.
type Failure struct {
	// Code, Reason and Message are for the followers. A feed does not look at them.
	Code            int32
	Reason, Message string
	// Own is whether the failure concerns only the name that was asked in, and no other.
	Own bool
	// RetryAfter is how long to wait before asking again in the same name. OthersAfter, which is no longer,
	// is the same for any other name.
	RetryAfter, OthersAfter time.Duration
}

const (
	// maxKeptPages and maxKeptBytes bound what a reader keeps for followers that are behind. The
	// last page is kept however large it is.
	maxKeptPages = 16
	maxKeptBytes = 8 << 20
)

// shelf has the pages with records that a reader keeps, oldest first. Hub.mu guards it.
type shelf struct {
	// pages have the numbers from first on.
	pages []*kept
	first int64
	bytes int
}

// kept is a page with the cursor that it was asked for with, the number of answers up to it, and the number
// of followers that have yet to get it.
type kept struct {
	*Page
	asked   string
	answers int64
	waiting int
}

// nextLocked returns the number of the page that is put next.
func (s *shelf) nextLocked() int64 { return s.first + int64(len(s.pages)) }

// atLocked returns a page by its number.
func (s *shelf) atLocked(number int64) *kept { return s.pages[number-s.first] }

// beginningLocked returns the number of the page that was asked for with cursor.
func (s *shelf) beginningLocked(cursor string) (number int64, ok bool) {
	i := slices.IndexFunc(s.pages, func(k *kept) bool { return k.asked == cursor })
	return s.first + int64(i), i >= 0
}

func (s *shelf) putLocked(k *kept) {
	s.pages = append(s.pages, k)
	s.bytes += k.Bytes
}

// expectLocked adds to the number of followers that have yet to get each page, from a number on. followers
// may be negative.
func (s *shelf) expectLocked(from int64, followers int) {
	for _, k := range s.pages[max(from, s.first)-s.first:] {
		k.waiting += followers
	}
}

// discardLocked discards the oldest pages: pages that every follower has, except the last of all while it
// lingers, and pages beyond the bounds. It reports whether a follower waits for one of them.
func (s *shelf) discardLocked(lingers bool) (missed bool) {
	for len(s.pages) > 0 {
		oldest, last := s.pages[0], len(s.pages) == 1
		had := oldest.waiting == 0 && (!last || !lingers)
		over := !last && (len(s.pages) > maxKeptPages || s.bytes > maxKeptBytes)
		if !had && !over {
			break
		}
		missed = missed || oldest.waiting > 0
		s.bytes -= oldest.Bytes
		s.pages[0] = nil
		s.pages = s.pages[1:]
		s.first++
		oldest.Lease.Release()
	}
	return missed
}
