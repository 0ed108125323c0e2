package endpoint

import (
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// Page is what a page says about itself.
type Page struct {
	// Cursor asks for what follows; empty if the page names none.
	Cursor string
	// More is whether another page follows.
	More bool
	// Valid is whether the page says whether another one follows.
	Valid bool
	// Items is the number of its records.
	Items int64
	// Speaks is whether the page has something besides records and pagination.
	Speaks bool
}

// layout is where things are in the wire form of a page, as field numbers.
type layout struct {
	// items is the path of the records.
	items []protowire.Number
	// pagination is a message, end and more are its fields.
	pagination, end, more protowire.Number
}

// Page reads what a page says about itself from its wire form. cursor is what the page was asked for with.
//
// A numbered page does not say whether another one follows: the document declares links without their
// relations. So it counts as the last one if it has no records. Its cursor is the next number.
func (w *Walk) Page(cursor string, wire []byte) Page {
	p := Page{Items: count(wire, w.stream.page.items), Speaks: speaks(wire, w.stream.page.pagination, w.stream.page.items)}
	if w.stream.Pages.Numbered() {
		p.Valid, p.More = true, p.Items > 0
		if number, err := strconv.ParseUint(cursor, 10, 32); err == nil && p.More {
			p.Cursor = strconv.FormatUint(number+1, 10)
		}
		return p
	}
	l := &w.stream.page
	for f := range fields(wire) {
		if f.number != l.pagination {
			continue
		}
		for f := range fields(f.value) {
			if f.number == l.end {
				p.Cursor = string(f.value)
			}
			if f.number == l.more {
				v, _ := protowire.ConsumeVarint(f.value)
				p.More, p.Valid = protowire.DecodeBool(v), true
			}
		}
	}
	return p
}

// Cut returns the wire form of a page with its first n records only, in memory of its own.
func (w *Walk) Cut(wire []byte, n int64) []byte {
	return cut(make([]byte, 0, len(wire)), wire, w.stream.page.items, &n)
}

func cut(dst, wire []byte, path []protowire.Number, left *int64) []byte {
	for f := range fields(wire) {
		switch {
		case f.number != path[0]:
			dst = append(dst, f.whole...)
		case len(path) > 1:
			dst = protowire.AppendTag(dst, f.number, protowire.BytesType)
			dst = protowire.AppendBytes(dst, cut(nil, f.value, path[1:], left))
		case *left > 0:
			*left--
			dst = append(dst, f.whole...)
		}
	}
	return dst
}

// count returns how many values there are at path.
func count(wire []byte, path []protowire.Number) (n int64) {
	for f := range fields(wire) {
		switch {
		case f.number != path[0]:
		case len(path) > 1:
			n += count(f.value, path[1:])
		default:
			n++
		}
	}
	return n
}

// speaks reports whether a message has something besides the pagination and the values at path. pagination is
// 0 if there is none.
func speaks(wire []byte, pagination protowire.Number, path []protowire.Number) bool {
	for f := range fields(wire) {
		switch {
		case f.number == pagination:
		case f.number != path[0], len(path) > 1 && speaks(f.value, 0, path[1:]):
			return true
		}
	}
	return false
}

// wireField is one field on the wire: all of it, and its value without tag and length.
type wireField struct {
	number       protowire.Number
	whole, value []byte
}

// fields yields the fields of a message up to the first malformed one. The messages that the gateway writes
// have none.
func fields(wire []byte) func(yield func(wireField) bool) {
	return func(yield func(wireField) bool) {
		for len(wire) > 0 {
			number, kind, tag := protowire.ConsumeTag(wire)
			if tag < 0 {
				return
			}
			length := protowire.ConsumeFieldValue(number, kind, wire[tag:])
			if length < 0 {
				return
			}
			f := wireField{number: number, whole: wire[:tag+length], value: wire[tag : tag+length]}
			if kind == protowire.BytesType {
				f.value, _ = protowire.ConsumeBytes(f.value)
			}
			if !yield(f) {
				return
			}
			wire = wire[tag+length:]
		}
	}
}
