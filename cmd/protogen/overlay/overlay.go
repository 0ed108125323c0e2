// Package overlay corrects an OpenAPI document by an OpenAPI Overlay 1.0
// (https://spec.openapis.org/overlay/v1.0.0.html). The library applies it; this package sees to
// it that no action outlives its reason.
package overlay

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/pb33f/go-yaml"
	"github.com/pb33f/jsonpath/pkg/jsonpath"
	"github.com/pb33f/libopenapi"
	model "github.com/pb33f/libopenapi/datamodel/high/overlay"
	"github.com/pb33f/libopenapi/overlay"
)

// version is the only one of the Overlay Specification that is taken.
const version = "1.0.0"

// ErrIdle is in the error for an action that changes nothing: what it selects is gone, or is
// already as the action would make it.
var ErrIdle = errors.New("changes nothing")

// Apply returns the document, in YAML or JSON, with all actions of the overlay applied, and an error
// that wraps ErrIdle for each action that changes nothing. The corrected document is in YAML, or as it
// came if no action changes it.
//
// It refuses an overlay of another version than 1.0.0, an action without a description, which must
// say from where the correction is known, and one that adds an extension which protogen does not
// read, or a value of one that it does not understand. Every action is judged by the document as
// it came, so that none may build upon another. Errors name an action by its number from 1 and its
// target; that of a refusal joins what is wrong with each action.
func Apply(document, corrections []byte) (corrected []byte, idle []error, err error) {
	parsed, err := libopenapi.NewOverlayDocument(corrections)
	if err != nil {
		return nil, nil, fmt.Errorf("overlay: %w", err)
	}
	if parsed.Overlay != version {
		return nil, nil, fmt.Errorf("overlay: version %q, must be %s", parsed.Overlay, version)
	}
	var root yaml.Node
	if err := yaml.Unmarshal(document, &root); err != nil {
		return nil, nil, fmt.Errorf("document: %w", err)
	}
	var active []*model.Action
	var problems []error
	for i, action := range parsed.Actions {
		err := check(&root, action)
		if err == nil {
			active = append(active, action)
			continue
		}
		err = fmt.Errorf("overlay: action %d, target %s: %w", i+1, action.Target, err)
		if problems = append(problems, err); errors.Is(err, ErrIdle) {
			idle = append(idle, err)
		}
	}
	switch {
	case len(idle) < len(problems):
		return nil, nil, errors.Join(problems...)
	case len(idle) > 0 && len(active) == 0:
		return document, idle, nil
	}
	parsed.Actions = active
	result, err := overlay.Apply(document, parsed)
	if err != nil {
		return nil, nil, fmt.Errorf("overlay: %w", err)
	}
	return result.Bytes, idle, nil
}

// check reports why an action is refused.
func check(root *yaml.Node, action *model.Action) error {
	updates := action.Update != nil && !action.Update.IsZero()
	switch {
	case action.Description == "":
		return errors.New("description: must say from where the correction is known")
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
	switch {
	case len(targets) == 0:
		return fmt.Errorf("%w: the document has no such place", ErrIdle)
	case updates && !slices.ContainsFunc(targets, func(target *yaml.Node) bool { return !has(target, action.Update) }):
		return fmt.Errorf("%w: the document says so itself", ErrIdle)
	}
	return nil
}

// checkExtensions reports an extension in an update that would have no effect.
func checkExtensions(update *yaml.Node) error {
	if update.Kind == yaml.MappingNode {
		for i := 0; i < len(update.Content); i += 2 {
			name, value := update.Content[i].Value, update.Content[i+1].Value
			if !strings.HasPrefix(name, "x-") {
				continue
			}
			form := formOf(name)
			if form == "" {
				return fmt.Errorf("%s: is no extension that protogen reads", name)
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

// formOf returns what the values of an extension match, empty if it is none that protogen reads.
func formOf(extension string) string {
	switch extension {
	case "x-rate-limit":
		return `^[1-9]\d{0,8} requests?/(sec|min|hour)$`
	case "x-feed":
		return `^false$`
	case "x-wrapped-in":
		return `^\w+$`
	default:
		return ""
	}
}

// has reports whether an update of a node would leave it as it is: whether an object has all
// members of the update, an array all elements.
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

// member returns the value of an object's member, nil if it has none of that name.
func member(object *yaml.Node, name string) *yaml.Node {
	for i := 0; i < len(object.Content); i += 2 {
		if object.Content[i].Value == name {
			return object.Content[i+1]
		}
	}
	return nil
}
