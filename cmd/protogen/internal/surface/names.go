package surface

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"samsara.internal/gateway/cmd/protogen/internal/model"
	"samsara.internal/gateway/cmd/protogen/internal/words"
	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// nameMethods names new methods. What has the fewest names to choose from gets its name first: so
// listOrders is ListOrders, and getOrdersStream is ListOrdersFeed beside it.
func nameMethods(added []*method) {
	added = slices.Clone(added)
	slices.SortStableFunc(added, func(a, b *method) int { return len(rpcNames(a.operation)) - len(rpcNames(b.operation)) })
	for _, m := range added {
		names, taken := rpcNames(m.operation), m.request.pkg.takes
		i := slices.IndexFunc(names, func(name string) bool { return !taken(name) })
		if i < 0 {
			m.rename(words.Unique(names[0], "V", taken))
			continue
		}
		m.rename(names[i])
	}
}

func (m *method) rename(name string) {
	m.name, m.request.name, m.response.name = name, name+"Request", name+"Response"
}

// rpcNames lists names for an operation's method, the best first: without the V1 in front of legacy
// operationIds and versions within, without the Stream that feeds end in; as a Feed; with versions.
func rpcNames(o *apiv1.Operation) []string {
	id, legacy := strings.CutPrefix(o.GetId(), "V1")
	all := words.Split(id)
	plain := slices.DeleteFunc(slices.Clone(all), isVersion)
	variants := [][]string{plain}
	if legacy {
		variants = append(variants, slices.Concat([]string{"V1"}, all))
	} else if len(plain) < len(all) {
		variants = append(variants, all)
	}
	var names []string
	for _, w := range variants {
		verb, noun := verbAndNoun(o, w)
		if last := len(noun) - 1; pages(o) && last > 0 && noun[last] == "Stream" {
			noun = noun[:last]
		}
		name := words.Identifier(words.UpperCamel(slices.Concat(verb, noun)), "Call")
		names = append(names, name)
		if o.GetFeed() && !strings.HasSuffix(name, "Feed") {
			names = append(names, name+"Feed")
		}
	}
	return names
}

// verbAndNoun parts the words of an operationId. Verbs that say no more than the HTTP method does
// become those of one rule: what pages is listed. An id that is the end of its path has no verb.
func verbAndNoun(o *apiv1.Operation, w []string) (verb, noun []string) {
	first := ""
	if len(w) > 0 {
		first = strings.ToLower(w[0])
	}
	path := words.Split(o.GetPath())
	ofPath := len(w) <= len(path) && slices.EqualFunc(w, path[len(path)-len(w):], strings.EqualFold)
	noun = w
	switch first {
	case "get", "list", "fetch", "stream", "post", "patch", "put":
		if len(w) == 1 {
			return nil, w
		}
		noun = w[1:]
	default:
		if !ofPath {
			return nil, w
		}
	}
	switch {
	case pages(o):
		if len(noun) > 1 && noun[0] == "All" {
			noun = noun[1:]
		}
		return []string{"List"}, noun
	case o.GetMethod() == apiv1.HttpMethod_HTTP_METHOD_GET:
		return []string{"Get"}, noun
	case o.GetMethod() == apiv1.HttpMethod_HTTP_METHOD_POST && o.GetRepeatable():
		return nil, w
	case o.GetMethod() == apiv1.HttpMethod_HTTP_METHOD_POST:
		return []string{"Create"}, noun
	case o.GetMethod() == apiv1.HttpMethod_HTTP_METHOD_PATCH:
		return []string{"Update"}, noun
	case o.GetMethod() == apiv1.HttpMethod_HTTP_METHOD_PUT:
		return []string{"Replace"}, noun
	}
	return []string{"Delete"}, noun
}

// pages says whether the operation is one that lists.
func pages(o *apiv1.Operation) bool {
	return o.GetMethod() == apiv1.HttpMethod_HTTP_METHOD_GET && o.GetPagination() != apiv1.Pagination_PAGINATION_UNSPECIFIED
}

// isVersion says whether a word is such as V2.
func isVersion(word string) bool { return word[0] == 'V' && isNumber(word[1:]) }

// unnamed is a new message, with what counts for its name: whether it was first reached from a
// request, and as an element of a list or map; how many operations lead to it; the names it
// could have, the best first.
type unnamed struct {
	*message
	input, element bool
	uses           int
	candidates     []string
}

// nameMessages names the new messages of each package.
func (m *merger) nameMessages() {
	for _, p := range m.tree.sorted() {
		var group []unnamed
		for _, added := range m.unnamed {
			if added.pkg != p {
				continue
			}
			added.candidates = m.forms.names.candidates(added)
			for _, key := range added.schemas {
				added.uses += m.forms.uses[key]
			}
			group = append(group, added)
		}
		slices.SortFunc(group, compareClaims)
		for _, left := range p.nameMessages(group) {
			if same := m.sameThing(left); same != nil {
				m.fold(left.message, same)
				continue
			}
			p.number(left)
		}
	}
}

// sameThing returns the message that has the plain name which another one could not have, if one has
// all members of the other: then both are one thing, told in two schemas. Nil if it has not.
func (m *merger) sameThing(left unnamed) *message {
	for _, other := range left.pkg.messages {
		if other.name != left.candidates[0] {
			continue
		}
		for _, key := range other.schemas {
			if m.forms.names.plain(key) == m.forms.names.plain(left.schemas[0]) && m.forms.nested(other, left.message) {
				return other
			}
		}
	}
	return nil
}

// fold makes one message stand for what another one, which is new, was to stand for.
func (m *merger) fold(from, into *message) {
	for _, key := range from.schemas {
		into.join(key)
	}
	if m.sources[into] == nil {
		m.reached = append(m.reached, into)
	}
	m.sources[into] = append(m.sources[into], m.sources[from]...)
	delete(m.sources, from)
	is := func(other *message) bool { return other == from }
	m.reached, from.pkg.messages = slices.DeleteFunc(m.reached, is), slices.DeleteFunc(from.pkg.messages, is)
	for _, sources := range m.sources {
		for _, src := range sources {
			for i := range src.fields {
				if src.fields[i].message == from {
					src.fields[i].message = into
				}
			}
		}
	}
}

// compareClaims puts the message first that has the better claim to a name: what could have no
// other, what a response holds, what more operations lead to, what has the shorter schema name.
func compareClaims(a, b unnamed) int {
	return cmp.Or(slices.Compare(a.claim(), b.claim()), cmp.Compare(a.schemas[0], b.schemas[0]))
}

func (u unnamed) claim() []int {
	input, shortest := 0, len(u.schemas[0])
	if u.input {
		input = 1
	}
	for _, key := range u.schemas {
		shortest = min(shortest, len(key))
	}
	return []int{min(2, len(u.candidates)), input, -u.uses, shortest}
}

// nameMessages gives each message of the group, which is in the order of their claims, the best
// name it can have. The order decides who gets a plain name. A longer name should tell apart, so
// it goes to nobody while several want it. It returns what has no name then.
func (p *pkg) nameMessages(group []unnamed) []unnamed {
	taken := p.names()
	longest := 0
	for _, m := range group {
		longest = max(longest, len(m.candidates))
	}
	for choice := range longest {
		wanted := map[string]int{}
		for _, m := range group {
			if m.name == "" && choice < len(m.candidates) {
				wanted[m.candidates[choice]]++
			}
		}
		for _, m := range group {
			if m.name != "" || choice >= len(m.candidates) {
				continue
			}
			if name := m.candidates[choice]; !taken[name] && (wanted[name] == 1 || choice == 0) {
				m.name = name
				taken[name] = true
			}
		}
	}
	return slices.DeleteFunc(group, func(m unnamed) bool { return m.name != "" })
}

// number gives a message its best name with a number.
func (p *pkg) number(m unnamed) {
	taken := p.names()
	m.name = words.Unique(m.candidates[0], "", func(name string) bool { return taken[name] })
}

// names makes names of messages from names of schemas. Those carry the debris of the generator
// that wrote the document: Goa, ResponseBody, Object, the operation, versions, hashes.
type names struct {
	operations [][]string // the words of each operationId, the longest first
}

func newNames(t *tree, operations []model.Operation) names {
	var n names
	for _, o := range operations {
		n.operations = append(n.operations, words.Split(o.Annotation.GetId()))
	}
	for _, p := range t.sorted() {
		for _, method := range p.methods {
			n.operations = append(n.operations, words.Split(method.operation.GetId()))
		}
	}
	slices.SortStableFunc(n.operations, func(a, b []string) int { return len(b) - len(a) })
	return n
}

// plain is a schema's name without any debris. What is meant to be sent is no other thing than
// what is received, so an Input at the end of a request's schema is debris too.
func (n names) plain(key string) string {
	_, _, thing := n.split(key)
	plain := withoutDebris(thing)
	if last := len(plain) - 1; last > 0 && plain[last] == "Input" && strings.HasSuffix(key, "RequestBody") {
		plain = plain[:last]
	}
	return words.UpperCamel(collapse(plain))
}

// candidates lists names for a message, the best first: the plain name, then those with the
// least debris that tells schemas apart. What only requests send may be an Input. The schema of
// an element is named in the singular, if the name was made from a property's.
func (n names) candidates(u unnamed) []string {
	var all [][]string
	for _, key := range u.schemas {
		verb, noun, thing := n.split(key)
		plain := withoutDebris(thing)
		forms := [][]string{
			plain,
			slices.Concat(noun, plain),
			slices.Concat(verb, noun, plain),
			without(thing, "Request", "Response", "Object", "Goa", "Variant"),
			without(thing, "Request", "Response", "Goa", "Variant"),
			without(thing, "Goa", "Variant"),
		}
		if strings.HasSuffix(key, "TypeRequestBody") || strings.HasSuffix(key, "TypeResponseBody") {
			forms = append(forms, append(slices.Clip(plain), "Type"))
		}
		for _, name := range forms {
			name = collapse(name)
			if last := len(name) - 1; last >= 0 && u.element && strings.ContainsAny(key, "._[{") {
				name[last] = words.Singular(name[last])
			}
			if len(name) > 1 && isNumber(name[len(name)-1]) && numbered(key) {
				all = append(all, name[:len(name)-1])
			}
			all = append(all, name)
			if u.input && !slices.Contains(name, "Input") {
				all = append(all, append(slices.Clip(name), "Input"))
			}
		}
	}
	slices.SortStableFunc(all, func(a, b []string) int { return len(a) - len(b) })
	var found []string
	for _, w := range all {
		name := words.Identifier(words.UpperCamel(w), "Schema")
		if len(w) > 0 && !slices.Contains(found, name) && !strings.HasSuffix(name, "Request") && !strings.HasSuffix(name, "Response") {
			found = append(found, name)
		}
	}
	if len(found) == 0 {
		return []string{"Schema"}
	}
	return found
}

// split tells the words of a schema's name that come from an operation, as EntityCreateThing
// and CreateThingEntityRest have them, from the rest.
func (n names) split(key string) (verb, noun, thing []string) {
	all := withoutBody(keyWords(key))
	if i := slices.Index(all, "Pagination"); i >= 0 {
		return nil, all[:i], all[i : i+1]
	}
	if service := slices.Index(all, "Service"); service > 0 && n.operation(all[service+1:]) > 0 {
		all = slices.Concat([]string{"Entity"}, all[service+1:])
	}
	switch entity := slices.Index(all, "Entity"); {
	case entity == 0 && len(all) > 1:
		all = all[1:]
		if i := n.operation(all); i > 0 && i < len(all) {
			return all[:1], all[1:i], all[i:]
		}
		all[len(all)-1] = words.Singular(all[len(all)-1])
	case entity > 0 && entity+1 < len(all) && isVerb(all[0]):
		return all[:1], all[1:entity], all[entity+1:]
	}
	if len(all) > 1 && isVerb(all[0]) {
		return all[:1], nil, all[1:]
	}
	return nil, nil, all
}

// operation returns how many words at the beginning are the name of an operation.
func (n names) operation(w []string) int {
	for _, id := range n.operations {
		if len(id) <= len(w) && slices.EqualFunc(id, w[:len(id)], strings.EqualFold) {
			return len(id)
		}
	}
	return 0
}

// keyWords are the words of a schema's key; what a property holds many of is in the singular. A
// body without a name of its own goes by its operation's path. A schema's name may follow on
// Object as it is, in lower case.
func keyWords(key string) []string {
	var all []string
	key = regexp.MustCompile(`^[A-Z]+ /(\S*) (?:body|response)`).ReplaceAllString(key, "$1")
	key = withoutHash(key)
	key = regexp.MustCompile(`Object([a-hj-z][a-z])`).ReplaceAllString(key, "Object_$1")
	for _, part := range strings.Split(key, ".") {
		name := strings.TrimRight(part, "[]{}")
		found := words.Split(name)
		if name != part && len(found) > 0 {
			found[len(found)-1] = words.Singular(found[len(found)-1])
		}
		all = append(all, found...)
	}
	return all
}

// withoutHash is a schema's name without the hash that tells it from others of its operation.
func withoutHash(key string) string {
	return regexp.MustCompile(`PublicVariant[0-9A-Fa-f]{12}`).ReplaceAllString(key, "Variant")
}

// numbered says whether a schema has its number only to tell it from another one that a generator
// named after the same property.
func numbered(key string) bool { return regexp.MustCompile(`_\d+$`).MatchString(key) }

// withoutBody drops what says that a schema is a request's or a response's body.
func withoutBody(w []string) []string {
	n := len(w)
	if n < 3 || w[n-1] != "Body" || w[n-2] != "Request" && w[n-2] != "Response" {
		return w
	}
	if n > 3 && w[n-3] == "Type" && w[n-4] != "Of" {
		return w[:n-3]
	}
	return w[:n-2]
}

func isVerb(word string) bool {
	switch strings.ToLower(word) {
	case "create", "update", "list", "get", "delete", "patch", "post", "put", "replace", "resolve":
		return true
	}
	return false
}

// without drops words, and the Body of a RequestBody or ResponseBody within a name.
func without(w []string, dropped ...string) []string {
	var kept []string
	for i, word := range w {
		inner := word == "Body" && i > 0 && (w[i-1] == "Request" || w[i-1] == "Response")
		if !inner && !slices.Contains(dropped, word) {
			kept = append(kept, word)
		}
	}
	return kept
}

// withoutDebris drops what says nothing about the thing itself.
func withoutDebris(w []string) []string {
	w = without(withoutVersion(w), "Request", "Response", "Res", "Object", "Goa", "Variant")
	if last := len(w) - 1; last > 0 && w[last] == "Body" {
		w = w[:last]
	}
	return w
}

// withoutVersion drops V1, V2025_10_23 and the like.
func withoutVersion(w []string) []string {
	var kept []string
	version := false
	for _, word := range w {
		number := strings.TrimLeft(word, "vV")
		version = isNumber(number) && (number != word || version)
		if !version {
			kept = append(kept, word)
		}
	}
	return kept
}

func isNumber(word string) bool { return word != "" && strings.Trim(word, "0123456789") == "" }

// collapse drops the first of two equal runs of words, where a plural equals its singular:
// PurchaseOrders PurchaseOrder Part.
func collapse(w []string) []string {
	w = slices.Clone(w)
	for run := len(w) / 2; run > 0; run-- {
		for i := 0; i+2*run <= len(w); {
			if equalWords(w[i:i+run], w[i+run:i+2*run]) {
				w = slices.Delete(w, i, i+run)
			} else {
				i++
			}
		}
	}
	return w
}

func equalWords(a, b []string) bool {
	return slices.EqualFunc(a, b, func(a, b string) bool { return strings.EqualFold(words.Singular(a), words.Singular(b)) })
}
