package words

import (
	"strconv"
	"strings"
	"unicode"
)

// Split splits a name at every character that is neither letter nor digit, and before every capital that
// begins a word. Acronyms stay together: DEFRemaining gives DEF and Remaining.
func Split(name string) []string {
	var all []string
	var word []rune
	flush := func() {
		if len(word) > 0 {
			all = append(all, string(word))
		}
		word = nil
	}
	runes := []rune(name)
	for i, r := range runes {
		if r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			flush()
			continue
		}
		afterAcronym := i+1 < len(runes) && unicode.IsLower(runes[i+1])
		if len(word) > 0 && unicode.IsUpper(r) && (!unicode.IsUpper(word[len(word)-1]) || afterAcronym) {
			flush()
		}
		word = append(word, r)
	}
	flush()
	return all
}

// Identifier returns a name with a word in front if the name would begin with a digit or be empty.
func Identifier(name, word string) string {
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		return word + name
	}
	return name
}

// Snake returns a name in lower_snake_case.
func Snake(name string) string {
	return strings.ToLower(strings.Join(Split(name), "_"))
}

// UpperCamel returns the words joined, each with its first letter in upper case.
func UpperCamel(words []string) string {
	var b strings.Builder
	for _, w := range words {
		b.WriteString(strings.ToUpper(w[:1]) + w[1:])
	}
	return b.String()
}

// JSONName returns the JSON name that protoc gives a field without json_name.
func JSONName(field string) string {
	var b strings.Builder
	upper := false
	for _, r := range field {
		if r == '_' {
			upper = true
			continue
		}
		if upper {
			r = unicode.ToUpper(r)
		}
		b.WriteRune(r)
		upper = false
	}
	return b.String()
}

// Singular returns the singular of an English plural, as far as its ending shows it.
func Singular(word string) string {
	for _, ending := range [...][2]string{
		{"series", "series"},
		{"vertices", "vertex"},
		{"statuses", "status"},
		{"ies", "y"},
		{"sses", "ss"},
		{"xes", "x"},
		{"ches", "ch"},
		{"shes", "sh"},
		{"ss", "ss"},
		{"us", "us"},
		{"is", "is"},
		{"s", ""},
	} {
		if stem, ok := strings.CutSuffix(word, ending[0]); ok && stem+ending[1] != "" {
			return stem + ending[1]
		}
	}
	return word
}

// Unique returns the first that is not taken of the name, the name with 2, the name with 3 and so on, with
// sep before the number.
func Unique(name, sep string, taken func(string) bool) string {
	if !taken(name) {
		return name
	}
	for n := 2; ; n++ {
		if next := name + sep + strconv.Itoa(n); !taken(next) {
			return next
		}
	}
}
