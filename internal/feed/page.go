package feed

import (
	"context"
	"slices"
	"time"

	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/lease"
)

// Source asks for the pages of a feed. Sources that are followed with the same Key ask for the same.
type Source interface {
	// Page asks for the page at cursor in the name of as, and takes its memory by by. It returns soon
	// after ctx ends. A page with records names a cursor, and the lease of every page is set.
	Page(ctx context.Context, cursor string, as identity.Identity, by *lease.Holder) (*Page, error)
	// Outlast reports whether the feed goes on after an error of Page, and what its followers are
	// told of it meanwhile; false: err ends the feed.
	Outlast(err error) (Failure, bool)
}

// Page is what a Source answers. Nobody writes to it.
type Page struct {
	// Cursor asks for what follows; empty: the page names none.
	Cursor string
	// More is whether the page says that another one follows.
	More bool
	// Items is the number of its records.
	Items int64
	// Tells is whether followers get the page though it has no records, if its cursor is another one.
	Tells bool
	// Bytes is how long it is.
	Bytes int
	// Lease is its memory, which is of whoever has the page.
	Lease *lease.Lease
	// Content is the Source's own. A feed does not look at it.
	Content any
}

// Failure is what a feed outlasts.
type Failure struct {
	// Code, Reason and Message are for the followers. A feed does not look at them.
	Code            int32
	Reason, Message string
	// Own is whether it is about the name that was asked in, and holds for no other.
	Own bool
	// RetryAfter is how long not to ask again in the name that was asked in. OthersAfter, which is no
	// longer, is that in any other name.
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

// kept is a page with the cursor that it was asked for with, the number of answers up to it, and of
// followers that have yet to get it.
type kept struct {
	*Page
	asked   string
	answers int64
	waiting int
}

// nextLocked is the number of the page that is put next.
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

// expectLocked counts so many followers more, or less, who have yet to get the pages from a number on.
func (s *shelf) expectLocked(from int64, followers int) {
	for _, k := range s.pages[max(from, s.first)-s.first:] {
		k.waiting += followers
	}
}

// discardLocked gives up the oldest pages: those that every follower has, the last of all only if it
// does not linger, and those that are too many. It reports whether a follower waits for one of them.
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
