package feed

import "samsara.internal/gateway/internal/identity"

// names are the names of a reader's followers, in the order in which requests are made in them: the names that
// have not been tried, of these the interactive ones, and of these the one that has followed longest. Hub.mu
// guards them.
type names struct {
	of    map[identity.Identity]*name
	order rank[*name]
}

// name is a name with its followers, of which there is at least one.
type name struct {
	as        identity.Identity
	followers rank[*subscription]
	// tried is whether a request in the name has failed since the last round of names began.
	tried bool
	place int
}

func newNames() names {
	return names{of: make(map[identity.Identity]*name), order: rank[*name]{
		before: (*name).before, place: func(n *name) *int { return &n.place },
	}}
}

// before reports whether a request goes in the name of n rather than in that of other.
func (n *name) before(other *name) bool {
	switch {
	case n.tried != other.tried:
		return other.tried
	case n.as.Batch != other.as.Batch:
		return other.as.Batch
	default:
		return n.followers.items[0].number < other.followers.items[0].number
	}
}

func (n *names) addLocked(s *subscription) {
	if found := n.of[s.As]; found != nil {
		found.followers.add(s)
		n.order.move(found)
		return
	}
	added := &name{as: s.As, followers: rank[*subscription]{
		before: func(one, other *subscription) bool { return one.number < other.number },
		place:  func(s *subscription) *int { return &s.turn },
	}}
	added.followers.add(s)
	n.of[s.As] = added
	n.order.add(added)
}

func (n *names) removeLocked(s *subscription) {
	found := n.of[s.As]
	if len(found.followers.items) == 1 {
		n.order.remove(found)
		delete(n.of, s.As)
		return
	}
	found.followers.remove(s)
	n.order.move(found)
}

// firstLocked returns the follower that the next request is made for.
func (n *names) firstLocked() *subscription {
	if !n.anyLocked() {
		n.beginLocked()
	}
	return n.order.items[0].followers.items[0]
}

// anyLocked reports whether there is a name that has not been tried.
func (n *names) anyLocked() bool { return len(n.order.items) > 0 && !n.order.items[0].tried }

// tryLocked notes that a request in a name has failed.
func (n *names) tryLocked(as identity.Identity) {
	if found := n.of[as]; found != nil {
		found.tried = true
		n.order.move(found)
	}
}

// beginLocked begins a new round of names.
func (n *names) beginLocked() {
	for _, name := range n.order.items {
		name.tried = false
	}
	n.order.sort()
}
