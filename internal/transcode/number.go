package transcode

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
)

// number is a JSON number taken apart: ±digits × 10^exponent.
type number struct {
	digits   uint64
	exponent int64
	negative bool
	// long means that there are more digits than fit; digits then has no meaning.
	long bool
}

const (
	// maxDigits is how many decimal digits always fit into a uint64.
	maxDigits = 19
	// maxExponent bounds what is read of an exponent: large enough that no document is long
	// enough to make up for it by zeros.
	maxExponent = 1 << 40
)

// scanNumber reads the number at i, and returns where it ends. If it is malformed, end is the byte at fault,
// and ok is false.
func scanNumber(src []byte, i int) (n number, end int, ok bool) {
	if i < len(src) && src[i] == '-' {
		n.negative = true
		i++
	}
	start := i
	for ; i < len(src) && isDigit(src[i]); i++ {
		n.digits = n.digits*10 + uint64(src[i]-'0')
	}
	count := i - start
	if count == 0 {
		return n, i, false
	}
	if count > 1 && src[start] == '0' {
		return n, start + 1, false
	}
	if i < len(src) && src[i] == '.' {
		i++
		start = i
		for ; i < len(src) && isDigit(src[i]); i++ {
			n.digits = n.digits*10 + uint64(src[i]-'0')
		}
		if i == start {
			return n, i, false
		}
		n.exponent = int64(start - i)
		count += i - start
	}
	n.long = count > maxDigits
	if i < len(src) && src[i]|0x20 == 'e' {
		i++
		sign := int64(1)
		if i < len(src) && (src[i] == '+' || src[i] == '-') {
			if src[i] == '-' {
				sign = -1
			}
			i++
		}
		start = i
		exponent := int64(0)
		for ; i < len(src) && isDigit(src[i]); i++ {
			if exponent < maxExponent {
				exponent = exponent*10 + int64(src[i]-'0')
			}
		}
		if i == start {
			return n, i, false
		}
		n.exponent += sign * exponent
	}
	return n, i, true
}

// shortNumber appends the number at i, with the tag of f, if it is as most are: up to eight digits, and up to
// eight after a point. It returns a negative result for a number that is not of that form or not of the type
// of f, and for every number near the end of the document.
func (r *run) shortNumber(i int, f *field) int {
	negative := r.src[i] == '-'
	if negative {
		i++
	}
	if len(r.src)-i < 24 {
		return failed
	}
	src := (*[24]byte)(r.src[i:])
	digits, n := leadingDigits(binary.LittleEndian.Uint64(src[:]))
	if n == 0 || n > 1 && src[0] == '0' {
		return failed
	}
	places := 0
	if src[n] == '.' {
		var fraction uint64
		if fraction, places = leadingDigits(binary.LittleEndian.Uint64(src[n+1:])); places == 0 {
			return failed
		}
		digits = digits*wholePowersOfTen[places] + fraction
		n += 1 + places
	}
	if c := src[n]; isDigit(c) || c|0x20 == 'e' {
		return failed
	}

	room, size := r.room(), f.tag.size&maxTagBytes
	binary.LittleEndian.PutUint64(room[:], f.tag.bytes)
	switch {
	case f.op == opDouble && digits <= 1<<53:
		v := float64(digits) / powersOfTen[places]
		if negative {
			v = -v
		}
		binary.LittleEndian.PutUint64(room[size:], math.Float64bits(v))
		size += 8
	case f.op == opInt64 && places == 0:
		v := int64(digits)
		if negative {
			v = -v
		}
		size += binary.PutUvarint(room[size:], uint64(v))
	default:
		return failed
	}
	r.out = r.out[:len(r.out)+size]
	return i + n
}

// leadingDigits reads the decimal digits that a word begins with, at its lowest byte. It takes
// no time for each digit and no branch: a loop over them cost a fourteenth of the time of decoding.
func leadingDigits(word uint64) (value uint64, count int) {
	word ^= '0' * ones
	// The high bit of a byte that is not 0 to 9 now is set, or the sum sets it. As in scanText, the lowest
	// mark is right.
	count = bits.TrailingZeros64((word+(0x80-10)*ones|word)&highs) / 8
	// With zeros before them the digits are eight; next they are four pairs, and then the sum.
	word <<= 64 - 8*count
	word = word*10 + word>>8
	const pairs = 0x000000ff000000ff
	return (word&pairs*(1e2+1e6<<32) + word>>16&pairs*(1+1e4<<32)) >> 32, count
}

func isDigit(c byte) bool { return c-'0' <= 9 }

// reduced returns n without leading and trailing zeros among its digits, so that it is whole
// exactly if it is 0 or its exponent is not negative. literal is what n was read from.
func (n number) reduced(literal []byte) number {
	var buffer [64]byte
	digits, zeros := significant(buffer[:0], literal)
	n.exponent += int64(zeros)
	n.long = len(digits) > maxDigits
	n.digits = 0
	if !n.long {
		for _, c := range digits {
			n.digits = n.digits*10 + uint64(c-'0')
		}
	}
	return n
}

// significant appends to dst, which is empty, the digits of a number from the first to the
// last that is not 0. It returns how many zeros came after that.
func significant(dst, literal []byte) (digits []byte, zeros int) {
	for _, c := range literal {
		if c|0x20 == 'e' {
			break
		}
		if isDigit(c) {
			dst = append(dst, c)
		}
	}
	dst = bytes.TrimLeft(dst, "0")
	digits = bytes.TrimRight(dst, "0")
	return digits, len(dst) - len(digits)
}

// int64 returns the value of n, and whether it is whole and in range.
func (n number) int64(literal []byte) (int64, bool) {
	if n.long || n.exponent != 0 {
		n = n.reduced(literal)
		if n.digits == 0 && !n.long {
			return 0, true
		}
		if n.long || n.exponent < 0 || n.exponent > maxDigits {
			return 0, false
		}
		for ; n.exponent > 0; n.exponent-- {
			var overflow uint64
			if overflow, n.digits = bits.Mul64(n.digits, 10); overflow != 0 {
				return 0, false
			}
		}
	}
	switch {
	case n.digits <= math.MaxInt64 && !n.negative:
		return int64(n.digits), true
	case n.digits <= -math.MinInt64 && n.negative:
		return -int64(n.digits), true
	default:
		return 0, false
	}
}

// float64 returns the double nearest to n, and whether n is in the range of doubles.
func (n number) float64(literal []byte) (float64, bool) {
	const exact = int64(len(powersOfTen) - 1)
	if n.long || n.digits > 1<<53 || n.exponent < -exact || n.exponent > exact {
		v, err := strconv.ParseFloat(string(literal), 64)
		return v, err == nil
	}
	// Both operands are exact, so that the only rounding is that of the result.
	v := float64(n.digits)
	if n.negative {
		v = -v
	}
	if n.exponent < 0 {
		return v / powersOfTen[-n.exponent], true
	}
	return v * powersOfTen[n.exponent], true
}

// inexact reports whether n is a whole number other than v, the double nearest to it.
func (n number) inexact(literal []byte, v float64) bool {
	if !n.long && n.digits <= 1<<53 && n.exponent <= 0 {
		return false // a fraction, or too small to be inexact
	}
	n = n.reduced(literal)
	if n.digits == 0 && !n.long || n.exponent < 0 {
		return false
	}
	// A whole double is an odd number below 2^53 times a power of two, and 5^23 is above.
	if n.exponent > 22 {
		return true
	}
	var buffers [2][64]byte
	got, _ := significant(buffers[0][:0], literal)
	want, _ := significant(buffers[1][:0], strconv.AppendFloat(nil, v, 'f', 0, 64))
	return !bytes.Equal(got, want)
}

// wholePowersOfTen are the powers by which a word of digits may have to move up.
var wholePowersOfTen = [...]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8} //nolint:gochecknoglobals // a table, never written

// powersOfTen are the powers that a double holds exactly.
var powersOfTen = [...]float64{ //nolint:gochecknoglobals // a table, never written
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
}
