// Package fleet is the data of the benchmarks: which operations they use, and, as JSON, the
// requests and answers of these.
//
// They are the same in every run and process, of any size, and hold what real answers hold:
// strings, some escaped and some not ASCII, times, doubles, whole numbers, booleans, lists,
// maps and nested objects, and in each record a member that the schema does not know and a
// null.
package fleet

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
)

// Order is the order of an object's members.
type Order string

// The orders. Both are the same for all objects of one kind.
const (
	// Declared is the order of the fields in the proto file.
	Declared Order = "declared"
	// Shuffled has nothing to do with it.
	Shuffled Order = "shuffled"
)

// Body names an answer.
type Body struct {
	// Bytes is the least size; the answer is at most one record, about 1.2 KB, longer.
	Bytes int
	Order Order
}

// String returns the size in words, such as "50 KB".
func (b Body) String() string {
	if b.Bytes >= 1<<20 {
		return fmt.Sprintf("%d MB", b.Bytes>>20)
	}
	return fmt.Sprintf("%d KB", b.Bytes>>10)
}

// Cursor returns the name that ParseCursor reads. A client asks for the answer by it, as if it
// were the cursor of a page.
func (b Body) Cursor() string { return string(b.Order) + "-" + strconv.Itoa(b.Bytes) }

// MaxBytes bounds Body.Bytes.
const MaxBytes = 16 << 20

// ParseCursor returns the answer that a cursor names.
func ParseCursor(cursor string) (Body, error) {
	order, size, _ := strings.Cut(cursor, "-")
	n, err := strconv.Atoi(size)
	if err != nil || n < 0 || n > MaxBytes || (order != string(Declared) && order != string(Shuffled)) {
		return Body{}, fmt.Errorf("cursor %q: must be %s or %s, a dash and a number of bytes up to %d", cursor, Declared, Shuffled, MaxBytes)
	}
	return Body{Bytes: n, Order: Order(order)}, nil
}

// JSON returns the answer.
func (b Body) JSON() []byte {
	values := newGenerator()
	var records array
	for size := 0; len(records) == 0 || size < b.Bytes; {
		record := values.vehicle(len(records))
		records = append(records, record)
		size += len(appendJSON(nil, record, b.Order)) + len(",")
	}
	return appendJSON(nil, object{
		{"data", records},
		{"pagination", object{{"endCursor", text("MjkwMTE5ZDYtZTRjZi00ZmM4")}, {"hasNextPage", raw("true")}}},
	}, b.Order)
}

// A JSON value is an object, an array, or raw: JSON already.
type (
	object []member
	array  []any
	raw    string
)

type member struct {
	name  string
	value any
}

// text is a JSON string that needs no escaping.
func text(s string) raw { return raw(`"` + s + `"`) }

func textf(format string, args ...any) raw { return text(fmt.Sprintf(format, args...)) }

func number[T int64 | float64](n T) raw { return raw(fmt.Sprint(n)) }

func appendJSON(out []byte, value any, order Order) []byte {
	switch value := value.(type) {
	case object:
		if order == Shuffled {
			value = shuffled(value)
		}
		for i, m := range value {
			out = append(out, delimiter(i, '{'))
			out = append(strconv.AppendQuote(out, m.name), ':')
			out = appendJSON(out, m.value, order)
		}
		return append(out, '}')
	case array:
		for i, element := range value {
			out = append(out, delimiter(i, '['))
			out = appendJSON(out, element, order)
		}
		return append(out, ']')
	case raw:
		return append(out, value...)
	default:
		return append(out, "null"...)
	}
}

// delimiter returns what stands before an element.
func delimiter(index int, open byte) byte {
	if index == 0 {
		return open
	}
	return ','
}

// shuffled returns the members in the order of their names' hashes, which is the same for every
// object that has the same members.
func shuffled(o object) object {
	hash := func(m member) uint32 {
		h := fnv.New32a()
		_, _ = h.Write([]byte(m.name)) // a hash never fails
		return h.Sum32()
	}
	o = slices.Clone(o)
	slices.SortFunc(o, func(a, b member) int { return cmp.Compare(hash(a), hash(b)) })
	return o
}
