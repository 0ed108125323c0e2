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

// nameMethods names new methods. The method with the fewest names to choose from gets its name first:
// listOrders becomes ListOrders, and getOrdersStream ListOrdersFeed.
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

// rpcNames returns names for an operation's method, the best first: without versions, such as the V1 in
// front of a legacy operationId, and without the Stream at the end of a feed's; with Feed at the end; with
// versions.
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

// verbAndNoun splits the words of an operationId. A verb that says no more than the HTTP method is
// replaced by one rule, such as List for what pages. An id that is the end of its path has no verb of its
// own, and gets one by the same rule.
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

// pages reports whether the operation reads a list in pages.
func pages(o *apiv1.Operation) bool {
	return o.GetMethod() == apiv1.HttpMethod_HTTP_METHOD_GET && o.GetPagination() != apiv1.Pagination_PAGINATION_UNSPECIFIED
}

// isVersion reports whether a word is a version, such as V2.
func isVersion(word string) bool { return word[0] == 'V' && isNumber(word[1:]) }

// unnamed is a new message, with what its name depends on: whether it was first reached from a request,
// and as an element of a list or map; how many operations lead to it; the names that it could have, the
// best first.
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

// sameThing returns the message that took the plain name of another one, if one of the two has all members
// of the other: then both are the same thing in two schemas. Otherwise it returns nil.
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

// fold replaces a new message with another one, which then stands for the schemas of both.
func (m *merger) fold(from, into *message) {
	for _, key := range from.schemas {
		into.join(key)
	}
	if m.definitions[into] == nil {
		m.reached = append(m.reached, into)
	}
	m.definitions[into] = append(m.definitions[into], m.definitions[from]...)
	delete(m.definitions, from)
	is := func(other *message) bool { return other == from }
	m.reached, from.pkg.messages = slices.DeleteFunc(m.reached, is), slices.DeleteFunc(from.pkg.messages, is)
	for _, definitions := range m.definitions {
		for _, def := range definitions {
			for i := range def.fields {
				if def.fields[i].message == from {
					def.fields[i].message = into
				}
			}
		}
	}
}

// compareClaims sorts the message first that has the better claim to a name: one that could have no other
// name, one that a response holds, one that more operations lead to, one with the shorter schema name.
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

// nameMessages gives each message of the group the best name that it can have, and returns the messages
// that get none. The group is in the order of claims, which decides who gets a plain name. A longer name
// should tell messages apart, so no message gets it while several want it.
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

// names makes names of messages from names of schemas. Schema names have the debris of the generator that
// wrote the document: Goa, ResponseBody, Object, the operation, versions, hashes.
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

// plain returns a schema's name without any debris. An Input at the end of a request's schema is debris
// too: what is sent is the same thing as what is received.
func (n names) plain(key string) string {
	_, _, thing := n.split(key)
	plain := withoutDebris(thing)
	if last := len(plain) - 1; last > 0 && plain[last] == "Input" && strings.HasSuffix(key, "RequestBody") {
		plain = plain[:last]
	}
	return words.UpperCamel(collapse(plain))
}

// candidates returns names for a message, the best first: the plain name, then the names with the least
// debris that tells schemas apart. A message of requests alone may be an Input. A schema of an element has
// a name in the singular if the name was made from that of a property.
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

// split separates the words of a schema's name that come from an operation, as in EntityCreateThing and
// CreateThingEntityRest, from the rest.
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

// operation returns how many words at the beginning are an operationId; 0 if none are.
func (n names) operation(w []string) int {
	for _, id := range n.operations {
		if len(id) <= len(w) && slices.EqualFunc(id, w[:len(id)], strings.EqualFold) {
			return len(id)
		}
	}
	return 0
}

// keyWords returns the words of a schema's key. The name of a property that holds several elements is in
// the singular. A body without a name of its own is named by its operation's path. A schema's name may
// follow Object in lower case.
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

// withoutHash returns a schema's name without the hash that tells it from others of its operation.
func withoutHash(key string) string {
	return regexp.MustCompile(`PublicVariant[0-9A-Fa-f]{12}`).ReplaceAllString(key, "Variant")
}

// numbered reports whether a schema has a number only because a generator named two schemas after the same
// property.
func numbered(key string) bool { return regexp.MustCompile(`_\d+$`).MatchString(key) }

// withoutBody drops the words that say that a schema is a request's or a response's body.
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

// withoutDebris drops the words that say nothing about the thing itself.
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

// collapse drops the first of two equal runs of words. A plural counts as equal to its singular:
// PurchaseOrders PurchaseOrder Part becomes PurchaseOrder Part.
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
