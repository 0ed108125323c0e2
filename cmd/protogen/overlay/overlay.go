package overlay

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pb33f/go-yaml"
	"github.com/pb33f/jsonpath/pkg/jsonpath"
	"github.com/pb33f/libopenapi"
	model "github.com/pb33f/libopenapi/datamodel/high/overlay"
	"github.com/pb33f/libopenapi/overlay"
)

// version is the only version of the Overlay Specification that Apply accepts.
const version = "1.0.0"

// ErrIdle is wrapped in the error for an action that changes nothing: what it selects is gone, or already
// is as the action would make it.
var ErrIdle = errors.New("changes nothing")

// Result is the result of applying an overlay to a document.
type Result struct {
	// Document has all actions applied. It is in YAML; if no action changes it, it is the input itself.
	Document []byte
	// Idle has an error that wraps ErrIdle for each action that changes nothing, by itself or because
	// another one undoes it.
	Idle []error
	// Marks are the extensions that actions add.
	Marks []Mark
}

// Mark is an extension of ours that an action adds to a document.
type Mark struct {
	Name    string // such as x-feed
	Pointer string // a JSON pointer to what has the extension
	action  string
}

// Unread returns an error that wraps ErrIdle, for a mark that nothing reads at its pointer.
func (m Mark) Unread() error {
	_, where := readers(m.Name)
	return fmt.Errorf("overlay: %s: %s at #%s: %w: only %s may have it", m.action, m.Name, m.Pointer, ErrIdle, where)
}

// Apply applies all actions of an overlay to a document in YAML or JSON.
//
// It refuses an overlay of another version than 1.0.0 or without a list of actions. It refuses an action
// without a description, which must say how the correction is known, and one that adds an extension that
// protogen does not read, or a value that protogen does not understand. Every action is checked against
// the document before any is applied, so that none can build upon another. Errors name an action by its
// number from 1 and its target. The error of a refusal joins what is wrong with each action.
func Apply(document, corrections []byte) (Result, error) {
	parsed, err := libopenapi.NewOverlayDocument(corrections)
	if err != nil {
		return Result{}, fmt.Errorf("overlay: %w", err)
	}
	if parsed.Overlay != version {
		return Result{}, fmt.Errorf("overlay: version %q, must be %s", parsed.Overlay, version)
	}
	var root, list yaml.Node
	if err := yaml.Unmarshal(corrections, &list); err != nil {
		return Result{}, fmt.Errorf("overlay: %w", err)
	}
	if actions := member(list.Content[0], "actions"); actions == nil || actions.Kind != yaml.SequenceNode {
		return Result{}, errors.New("overlay: actions: must be a list; it may be empty")
	}
	if err := yaml.Unmarshal(document, &root); err != nil {
		return Result{}, fmt.Errorf("document: %w", err)
	}
	run := run{document: document, overlay: parsed, pointers: pointers(&root)}
	var result Result
	var problems []error
	for i, one := range parsed.Actions {
		a := action{Action: one, number: i + 1}
		if a.err = run.check(&root, &a); a.err != nil {
			problems = append(problems, a.errorf("%w", a.err))
		}
		run.actions = append(run.actions, a)
		result.Marks = append(result.Marks, a.marks...)
	}
	if slices.ContainsFunc(problems, func(err error) bool { return !errors.Is(err, ErrIdle) }) {
		return Result{}, errors.Join(problems...)
	}
	if run.corrected, err = run.apply(func(a action) bool { return a.err == nil }); err != nil {
		return Result{}, err
	}
	if result.Idle, err = run.idle(); err != nil {
		return Result{}, err
	}
	result.Document = run.corrected
	return result, nil
}

// run is the state of one Apply.
type run struct {
	document []byte
	overlay  *model.Overlay
	pointers map[*yaml.Node]string // of everything in the document
	actions  []action
	// corrected is the document after all actions that change something. tree is that document, parsed
	// when it is first needed.
	corrected []byte
	tree      *yaml.Node
}

// action is one action of the overlay.
type action struct {
	*model.Action
	number  int
	changed []string // JSON pointers to what it changes, in the document before any action
	marks   []Mark   // what it adds
	err     error    // ErrIdle, if it changes nothing
}

func (a action) String() string { return fmt.Sprintf("action %d, target %s", a.number, a.Target) }

func (a action) errorf(format string, args ...any) error {
	return fmt.Errorf("overlay: %s: "+format, append([]any{a}, args...)...)
}

// apply returns the document with the chosen actions applied.
func (r *run) apply(chosen func(action) bool) ([]byte, error) {
	overlaid := *r.overlay
	overlaid.Actions = nil
	for _, a := range r.actions {
		if chosen(a) {
			overlaid.Actions = append(overlaid.Actions, a.Action)
		}
	}
	if len(overlaid.Actions) == 0 {
		return r.document, nil
	}
	result, err := overlay.Apply(r.document, &overlaid)
	if err != nil {
		return nil, fmt.Errorf("overlay: %w", err)
	}
	return result.Bytes, nil
}

// idle returns an error for each action that changes nothing.
func (r *run) idle() ([]error, error) {
	var idle []error
	named := map[int]bool{}
	for _, a := range r.actions {
		if a.err == nil {
			continue
		}
		undone, err := r.undoneBy(a)
		switch {
		case err != nil:
			return nil, err
		case undone == nil:
			idle = append(idle, a.errorf("%w", a.err))
		default:
			named[undone.number] = true
			idle = append(idle, a.errorf("%w: it undoes %v", ErrIdle, undone))
		}
	}
	for _, a := range r.actions {
		if a.err != nil || named[a.number] {
			continue
		}
		by, err := r.undoing(a)
		if err != nil {
			return nil, err
		}
		if by != nil {
			idle = append(idle, a.errorf("%w: with %v, the result is the same without it", ErrIdle, by))
		}
	}
	return idle, nil
}

// undoneBy returns the last action before a that a undoes, so that the two together change nothing; nil
// if there is none.
func (r *run) undoneBy(a action) (*action, error) {
	// A target that is not in the document may be in what an earlier action adds.
	if len(a.changed) == 0 {
		if found, err := r.finds(a); err != nil || !found {
			return nil, err
		}
	}
	for i := a.number - 2; i >= 0; i-- {
		if r.actions[i].err != nil || len(a.changed) > 0 && !a.overlaps(r.actions[i]) {
			continue
		}
		without := func(b action) bool { return b.err == nil && b.number < a.number && b.number != i+1 }
		alone := func(b action) bool { return without(b) || b.number == i+1 }
		both := func(b action) bool { return alone(b) || b.number == a.number }
		changes, err := r.differ(alone, both)
		if err != nil || !changes {
			return nil, err
		}
		if differ, err := r.differ(without, both); err != nil || !differ {
			return &r.actions[i], err
		}
	}
	return nil, nil
}

// undoing returns the first action after a with which the result is the same without a, because it undoes
// a or does as much; nil if a changes something.
func (r *run) undoing(a action) (*action, error) {
	for i := a.number; i < len(r.actions); i++ {
		by := r.actions[i]
		if by.err != nil || !by.overlaps(a) {
			continue
		}
		with := func(b action) bool { return b.err == nil && b.number <= by.number }
		without := func(b action) bool { return with(b) && b.number != a.number }
		if differ, err := r.differ(with, without); err != nil || !differ {
			return &by, err
		}
	}
	return nil, nil
}

// finds reports whether an action selects anything once the others are applied.
func (r *run) finds(a action) (bool, error) {
	path, err := jsonpath.NewPath(a.Target)
	if err == nil && r.tree == nil {
		r.tree = new(yaml.Node)
		err = yaml.Unmarshal(r.corrected, r.tree)
	}
	return err == nil && len(path.Query(r.tree)) > 0, err
}

// differ reports whether two choices of actions give different documents.
func (r *run) differ(one, other func(action) bool) (bool, error) {
	var values [2]any
	for i, chosen := range []func(action) bool{one, other} {
		raw, err := r.apply(chosen)
		if err == nil {
			err = yaml.Unmarshal(raw, &values[i])
		}
		if err != nil {
			return false, err
		}
	}
	return !reflect.DeepEqual(values[0], values[1]), nil
}

// overlaps reports whether two actions change the same value, or one of them a value that contains one
// that the other changes.
func (a action) overlaps(b action) bool {
	return slices.ContainsFunc(a.changed, func(pointer string) bool {
		return slices.ContainsFunc(b.changed, func(other string) bool {
			return strings.HasPrefix(pointer+"/", other+"/") || strings.HasPrefix(other+"/", pointer+"/")
		})
	})
}

// pointers returns the JSON pointers to everything in a document.
func pointers(root *yaml.Node) map[*yaml.Node]string {
	all := map[*yaml.Node]string{}
	var walk func(node *yaml.Node, at string)
	walk = func(node *yaml.Node, at string) {
		all[node] = at
		for i, child := range node.Content {
			switch {
			case node.Kind == yaml.DocumentNode:
				walk(child, at)
			case node.Kind == yaml.SequenceNode:
				walk(child, at+"/"+strconv.Itoa(i))
			case i%2 == 1:
				walk(child, at+"/"+escape(node.Content[i-1].Value))
			}
		}
	}
	walk(root, "")
	return all
}

// escape returns a name as it is written in a JSON pointer.
func escape(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}

// leaves returns the JSON pointers to the values that an update of a node changes.
func leaves(at string, node, update *yaml.Node) []string {
	if update.Kind != yaml.MappingNode || len(update.Content) == 0 || node != nil && node.Kind != yaml.MappingNode {
		return []string{at}
	}
	var all []string
	for i := 0; i < len(update.Content); i += 2 {
		var below *yaml.Node
		if node != nil {
			below = member(node, update.Content[i].Value)
		}
		all = append(all, leaves(at+"/"+escape(update.Content[i].Value), below, update.Content[i+1])...)
	}
	return all
}

// check returns why an action is refused. It notes what the action changes.
func (r *run) check(root *yaml.Node, action *action) error {
	updates := action.Update != nil && !action.Update.IsZero()
	switch {
	case action.Description == "":
		return errors.New("description: must say how the correction is known")
	case action.Remove == updates || action.Copy != "":
		return errors.New("must have either update or remove: true")
	}
	path, err := jsonpath.NewPath(action.Target)
	if err != nil {
		return err
	}
	if updates {
		if err := checkExtensions(action.Update); err != nil {
			return err
		}
	}
	targets := path.Query(root)
	for _, target := range targets {
		if at := r.pointers[target]; updates {
			action.changed = append(action.changed, leaves(at, target, action.Update)...)
			action.mark(at, action.Update)
		} else {
			action.changed = append(action.changed, at)
		}
	}
	switch {
	case len(targets) == 0:
		return fmt.Errorf("%w: the document has nothing at the target", ErrIdle)
	case updates && !slices.ContainsFunc(targets, func(target *yaml.Node) bool { return !has(target, action.Update) }):
		return fmt.Errorf("%w: the document already says so", ErrIdle)
	}
	return nil
}

// checkExtensions returns an error for an extension in an update that would have no effect.
func checkExtensions(update *yaml.Node) error {
	if update.Kind == yaml.MappingNode {
		for i := 0; i < len(update.Content); i += 2 {
			name, value := update.Content[i].Value, update.Content[i+1].Value
			if !strings.HasPrefix(name, "x-") {
				continue
			}
			form, _ := readers(name)
			if form == "" {
				return fmt.Errorf("%s: must be an extension that protogen reads", name)
			}
			if !regexp.MustCompile(form).MatchString(value) {
				return fmt.Errorf("%s: is %q, must match %s", name, value, form)
			}
		}
	}
	for _, below := range update.Content {
		if err := checkExtensions(below); err != nil {
			return err
		}
	}
	return nil
}

// readers returns the pattern of an extension's values, and what may have the extension; both are empty if
// protogen does not read it.
func readers(extension string) (form, where string) {
	switch extension {
	case "x-rate-limit":
		return `^[1-9]\d{0,8} requests?/(sec|min|hour)$`, "an operation of the API"
	case "x-feed":
		return `^false$`, "an operation of the API"
	case "x-wrapped-in":
		return `^\w+$`, "the schema of a successful response's body"
	case "x-other-name":
		return `^\w+$`, "the schema of a member of a successful response's body"
	}
	return "", ""
}

// mark notes the extensions that an update of the node at a pointer adds.
func (a *action) mark(at string, update *yaml.Node) {
	if update.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i < len(update.Content); i += 2 {
		name := update.Content[i].Value
		if form, _ := readers(name); form != "" {
			a.marks = append(a.marks, Mark{name, at, a.String()})
		}
		a.mark(at+"/"+escape(name), update.Content[i+1])
	}
}

// has reports whether an update would leave a node as it is: an object has all members of the update, an
// array all its elements.
func has(node, update *yaml.Node) bool {
	switch {
	case node.Kind == yaml.SequenceNode && update.Kind == yaml.SequenceNode:
		return !slices.ContainsFunc(update.Content, func(element *yaml.Node) bool { return !has(node, element) })
	case node.Kind == yaml.SequenceNode:
		return slices.ContainsFunc(node.Content, func(element *yaml.Node) bool { return has(element, update) })
	case node.Kind != update.Kind:
		return false
	case node.Kind == yaml.MappingNode:
		for i := 0; i < len(update.Content); i += 2 {
			value := member(node, update.Content[i].Value)
			if value == nil || !has(value, update.Content[i+1]) {
				return false
			}
		}
		return true
	default:
		return node.ShortTag() == update.ShortTag() && node.Value == update.Value
	}
}

// member returns the value of an object's member, nil if there is no such member.
func member(object *yaml.Node, name string) *yaml.Node {
	for i := 0; i < len(object.Content); i += 2 {
		if object.Content[i].Value == name {
			return object.Content[i+1]
		}
	}
	return nil
}
