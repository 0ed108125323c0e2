package words

import (
	"cmp"
	"slices"
	"strings"
)

// Clause returns in the third person what an RPC does, by its name, such as "lists work orders". An RPC
// that pages lists, whatever its verb.
func Clause(rpc string, pages bool) string {
	w := Split(rpc)
	verb, rest := strings.ToLower(w[0]), w[1:]
	isComplete := len(rest) > 1 && rest[len(rest)-1] == "Complete"
	switch {
	case verb == "preview":
		return "previews what " + UpperCamel(rest) + " does"
	case len(rest) == 0:
		return withS(verb)
	case pages:
		return "lists " + NounOf(rest).Many()
	case verb == "fetch":
		verb = "get"
	case verb == "post" && isComplete, verb == "create" && isComplete:
		verb, rest = "complete", rest[:len(rest)-1]
	case verb == "post":
		verb = "create"
	case verb == "patch":
		verb = "update"
	case verb == "put":
		verb = "replace"
	}
	return withS(verb) + " " + NounOf(rest).One()
}

// Listed returns what an RPC lists, in the plural.
func Listed(rpc string) string { return cmp.Or(NounOf(Split(rpc)[1:]).Many(), "records") }

// Sentence returns a text with its first letter in upper case.
func Sentence(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// Noun is an English noun phrase made from a name.
type Noun struct {
	of    string   // such as "the history of"; a plural follows
	words []string // the last is the head
	tail  string   // such as "by entity type"
}

// NounOf returns the noun phrase that the words of a name make.
func NounOf(name []string) Noun {
	var n Noun
	name = slices.DeleteFunc(slices.Clone(name), isVersion)
	if len(name) > 1 {
		switch last := len(name) - 1; name[last] {
		case "List", "Object", "Stream", "Tiny":
			name = name[:last]
		case "Batch":
			n.of, name = "a batch of", name[:last]
		case "Feed":
			n.of, name = "the feed of", name[:last]
		case "History":
			n.of, name = "the history of", name[:last]
		case "Snapshot":
			n.of, name = "a snapshot of", name[:last]
		}
	}
	for _, w := range name {
		n.words = append(n.words, lower(w))
	}
	i := 1 + slices.IndexFunc(n.words[min(1, len(n.words)):], isTail)
	switch last := len(n.words) - 1; {
	case i > 0:
		n.tail, n.words = " "+strings.Join(n.words[i:], " "), n.words[:i]
	case last > 0 && n.words[last] == "missing":
		n.tail, n.words = " missing", n.words[:last]
	}
	return n
}

// One returns the noun with its article. A plural and a noun of what cannot be counted have none.
func (n Noun) One() string {
	if n.of != "" {
		return n.of + " " + n.plain().Many()
	}
	text := strings.Join(n.words, " ") + n.tail
	switch head := n.head(); {
	case head == "" || isPlural(head) || isMass(head) || isPlural(n.words[0]):
		return text
	case n.words[0] == "current":
		return "the " + text
	case startsWithVowel(n.words[0]):
		return "an " + text
	}
	return "a " + text
}

// Many returns the noun's plural, without an article.
func (n Noun) Many() string {
	if n.of != "" {
		return n.of + " " + n.plain().Many()
	}
	head := n.head()
	if head == "" || isPlural(head) || isMass(head) {
		return strings.Join(n.words, " ") + n.tail
	}
	w := slices.Clone(n.words)
	w[len(w)-1] = plural(head)
	return strings.Join(w, " ") + n.tail
}

// IsWhole reports whether the noun is of one thing, and not of a batch, feed, history or snapshot.
func (n Noun) IsWhole() bool { return n.of == "" }

func (n Noun) plain() Noun {
	n.of = ""
	return n
}

func (n Noun) head() string {
	if len(n.words) == 0 {
		return ""
	}
	return n.words[len(n.words)-1]
}

// isVersion reports whether a word is a version, such as V2.
func isVersion(word string) bool {
	return len(word) > 1 && word[0] == 'V' && strings.Trim(word[1:], "0123456789") == ""
}

// isTail reports whether a word begins what describes the noun before it.
func isTail(word string) bool {
	return slices.Contains([]string{"by", "for", "in", "near", "of", "on", "to", "with", "without"}, word)
}

// lower returns a word in lower case, and an acronym in upper case.
func lower(word string) string {
	acronyms := [...]string{
		"aemp", "api", "ble", "carb", "ctc", "def", "dvir", "ecu", "eld", "eta", "ev", "gps", "hos", "id", "ifta", "nfc",
		"obd", "obdii", "oem", "onvif", "pdf", "qr", "rpm", "sos", "url", "us",
	}
	word = strings.ToLower(word)
	for _, a := range acronyms {
		switch word {
		case a:
			return strings.ToUpper(a)
		case a + "s":
			return strings.ToUpper(a) + "s"
		}
	}
	return word
}

// isMass reports whether a noun is one of what cannot be counted.
func isMass(noun string) bool {
	return slices.Contains([]string{
		"activity", "compliance", "connectivity", "data", "efficiency", "equipment", "health", "history", "info", "inventory", "labor",
		"maintenance", "media", "metadata", "money", "speed", "speeding", "usage",
	}, noun)
}

// isPlural reports whether a noun ends like a plural.
func isPlural(noun string) bool {
	return strings.HasSuffix(noun, "s") && strings.ToUpper(noun) != noun &&
		!strings.HasSuffix(noun, "ss") && !strings.HasSuffix(noun, "us") && !strings.HasSuffix(noun, "is")
}

func plural(noun string) string {
	if noun == "vertex" {
		return "vertices"
	}
	return withS(noun)
}

// withS returns a word with the s of a plural noun, or of a verb in the third person.
func withS(word string) string {
	before, isY := strings.CutSuffix(word, "y")
	switch {
	case isY && before != "" && !strings.ContainsAny(before[len(before)-1:], "aeiou"):
		return before + "ies"
	case slices.ContainsFunc([]string{"s", "x", "z", "ch", "sh"}, func(end string) bool { return strings.HasSuffix(word, end) }):
		return word + "es"
	}
	return word + "s"
}

// startsWithVowel reports whether a word is pronounced with a vowel first. An acronym is spelt.
func startsWithVowel(word string) bool {
	switch {
	case word == strings.ToUpper(word) && strings.TrimRight(word, "0123456789") == word:
		return strings.ContainsAny(word[:1], "AEFHILMNORSX")
	case strings.HasPrefix(word, "use"), strings.HasPrefix(word, "unit"):
		return false
	}
	return strings.ContainsAny(word[:1], "aeiou")
}
