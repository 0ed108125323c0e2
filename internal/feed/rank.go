package feed

import "container/heap"

// rank has items in an order of which only the first matters: items[0], if there are any. To add, remove or move
// an item takes time that grows with the logarithm of their number. It is not safe for concurrent use.
type rank[T any] struct {
	before func(one, other T) bool
	// place returns where an item notes its index. An item that is not in the rank has no index.
	place func(T) *int
	items []T
}

func (r *rank[T]) add(item T)    { heap.Push((*ranked[T])(r), item) }
func (r *rank[T]) remove(item T) { heap.Remove((*ranked[T])(r), *r.place(item)) }

// move and sort are for when the order of one item, or of any number, has changed.
func (r *rank[T]) move(item T) { heap.Fix((*ranked[T])(r), *r.place(item)) }
func (r *rank[T]) sort()       { heap.Init((*ranked[T])(r)) }

// ranked is a rank as package heap wants it.
type ranked[T any] rank[T]

func (r *ranked[T]) Len() int           { return len(r.items) }
func (r *ranked[T]) Less(i, j int) bool { return r.before(r.items[i], r.items[j]) }

func (r *ranked[T]) Swap(i, j int) {
	r.items[i], r.items[j] = r.items[j], r.items[i]
	*r.place(r.items[i]), *r.place(r.items[j]) = i, j
}

func (r *ranked[T]) Push(item any) {
	added, _ := item.(T) // rank adds no other
	*r.place(added) = len(r.items)
	r.items = append(r.items, added)
}

func (r *ranked[T]) Pop() any {
	var none T
	last := len(r.items) - 1
	item := r.items[last]
	r.items[last] = none
	r.items = r.items[:last]
	return item
}
