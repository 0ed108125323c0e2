package transcode

import (
	"encoding/binary"
	"math"
	"strconv"
	"unicode/utf8"
)

// appendJSONString appends s quoted. Only what JSON demands is escaped. It reports false if s is not valid
// UTF-8, which JSON cannot hold.
func appendJSONString(dst []byte, s string) ([]byte, bool) {
	if !utf8.ValidString(s) {
		return dst, false
	}
	return appendQuoted(dst, s), true
}

// appendJSONBytes is appendJSONString. Most texts need neither the check nor the search of it.
func appendJSONBytes(dst, s []byte) ([]byte, bool) {
	if isPlain(s) {
		dst = append(dst, '"')
		dst = append(dst, s...)
		return append(dst, '"'), true
	}
	if !utf8.Valid(s) {
		return dst, false
	}
	return appendQuoted(dst, s), true
}

// isPlain reports whether s is ASCII that needs no escape. It looks at eight bytes at a time: no byte of them
// may have its high bit set, or get it from one of the subtractions, which a byte below the bound does.
func isPlain(s []byte) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	bad := func(v uint64) bool {
		quote, slash := v^ones*'"', v^ones*'\\'
		return (v|(v-ones*' ')|(quote-ones)|(slash-ones))&highs != 0
	}
	for len(s) >= 8 {
		if bad(binary.LittleEndian.Uint64(s)) {
			return false
		}
		s = s[8:]
	}
	for _, c := range s {
		if c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

func appendQuoted[T string | []byte](dst []byte, s T) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
		}
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// appendJSONFloat appends the shortest number that reads back as f at the given size in bits,
// in the form of ECMAScript and encoding/json. It reports false for NaN and the infinities,
// which JSON does not have.
func appendJSONFloat(dst []byte, f float64, bits int) ([]byte, bool) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return dst, false
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && outsidePlain(abs, bits) {
		format = 'e'
	}
	dst = strconv.AppendFloat(dst, f, format, -1, bits)
	// strconv writes e-09, and ECMAScript e-9.
	if n := len(dst); format == 'e' && n >= 4 && dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' {
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst, true
}

// outsidePlain reports whether a positive number is written with an exponent. The bounds are
// compared at the number's own size, as encoding/json does.
func outsidePlain(abs float64, bits int) bool {
	if bits == 32 {
		return float32(abs) < 1e-6 || float32(abs) >= 1e21
	}
	return abs < 1e-6 || abs >= 1e21
}
