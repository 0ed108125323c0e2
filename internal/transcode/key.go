package transcode

import "encoding/binary"

// key is a member's name as compact JSON has it: quoted, with only the escapes that JSON
// demands, and with the colon.
type key struct {
	text string
	// head and tail are its first and its last eight bytes. If it is shorter, mask selects its bytes of a
	// word.
	head, mask, tail uint64
}

// newKey returns the key of a name, which must be valid UTF-8.
func newKey(name string) (k key, ok bool) {
	text, ok := appendJSONString(nil, name)
	text = append(text, ':')
	k.text = string(text)
	k.mask = ^uint64(0)
	if len(text) < 8 {
		k.mask >>= 64 - 8*len(text)
		text = append(text, make([]byte, 8)...)[:8]
	}
	k.head = binary.LittleEndian.Uint64(text)
	k.tail = binary.LittleEndian.Uint64(text[len(text)-8:])
	return k, ok
}

// noKey is the key that nothing has.
func noKey() key { return key{head: 1} }

// leads reports whether the text at i begins with k. It compares words rather than bytes. It misses a key
// that ends within the last eight bytes of src, and one that is written with other escapes or with white
// space.
func (k *key) leads(src []byte, i int) bool {
	n := len(k.text)
	if len(src)-i < n+8 || binary.LittleEndian.Uint64(src[i:])&k.mask != k.head {
		return false
	}
	return n <= 8 || binary.LittleEndian.Uint64(src[i+n-8:]) == k.tail &&
		(n <= 16 || string(src[i+8:i+n-8]) == k.text[8:n-8])
}
