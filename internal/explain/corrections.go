package explain

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/catalog"
)

// Corrections are the actions of proto/corrections.yaml, by which Samsara's document was corrected before the
// surface was made from it.
type Corrections []action

// action is one of the actions, with what it is about in the document.
type action struct {
	Correction
	// limit is whether it is about the rate limit.
	limit bool
	// method and path are an operation's. method is empty if the action is about every operation at the path.
	method, path string
	// schemas are the names of components.
	schemas []string
}

// rateLimit is the extension that states a rate limit.
const rateLimit = "x-rate-limit"

// ReadCorrections reads proto/corrections.yaml.
func ReadCorrections(overlay []byte) (Corrections, error) {
	var file struct {
		Actions []struct {
			Target, Description string
			Update              yaml.Node
		}
	}
	if err := yaml.Unmarshal(overlay, &file); err != nil {
		return nil, fmt.Errorf("corrections: %w", err)
	}
	operation := regexp.MustCompile(`^\$\.paths\['([^']+)'\](?:\.(get|post|put|patch|delete)\b)?`)
	schema := regexp.MustCompile(`^\$\.components\.schemas(?:\.(\w+))?`)
	var all Corrections
	for i, one := range file.Actions {
		a := action{Correction: Correction{Action: i + 1, Target: one.Target, Description: one.Description}}
		updated := names(one.Update)
		if found := operation.FindStringSubmatch(one.Target); found != nil {
			a.path, a.method = found[1], strings.ToUpper(found[2])
			a.limit = slices.Contains(updated, rateLimit)
		}
		if found := schema.FindStringSubmatch(one.Target); found != nil {
			if a.schemas = updated; found[1] != "" {
				a.schemas = []string{found[1]}
			}
		}
		all = append(all, a)
	}
	return all, nil
}

// names returns the names of a mapping's members.
func names(mapping yaml.Node) []string {
	var all []string
	if mapping.Kind == yaml.MappingNode {
		for i := 0; i < len(mapping.Content); i += 2 {
			all = append(all, mapping.Content[i].Value)
		}
	}
	return all
}

// of returns the actions that are about a method's operation, or about a schema of its messages.
func (c Corrections) of(m catalog.Method) []Correction {
	schemas := make(map[string]bool)
	seen := make(map[protoreflect.FullName]bool)
	collectSchemas(m.Method.Input(), schemas, seen)
	collectSchemas(m.Method.Output(), schemas, seen)
	var all []Correction
	for _, a := range c {
		if a.isAbout(m) || slices.ContainsFunc(a.schemas, func(name string) bool { return schemas[name] }) {
			all = append(all, a.Correction)
		}
	}
	return all
}

// limit returns the number of the action that states the rate limit of a method's operation, 0 if the
// document itself states it.
func (c Corrections) limit(m catalog.Method) int {
	for _, a := range c {
		if a.limit && a.isAbout(m) {
			return a.Action
		}
	}
	return 0
}

func (a action) isAbout(m catalog.Method) bool {
	return a.path == m.Operation.GetPath() && (a.method == "" || a.method == m.HTTPMethod)
}

// collectSchemas adds the names of the schemas that a message and the messages in it stand for.
func collectSchemas(md protoreflect.MessageDescriptor, schemas map[string]bool, seen map[protoreflect.FullName]bool) {
	if seen[md.FullName()] {
		return
	}
	seen[md.FullName()] = true
	names, _ := proto.GetExtension(md.Options(), apiv1.E_Schema).([]string)
	for _, name := range names {
		// An unnamed schema is called by its path in a named one.
		end := strings.IndexAny(name+".", "[.")
		schemas[name[:end]] = true
	}
	for i := range md.Fields().Len() {
		if inner := md.Fields().Get(i).Message(); inner != nil {
			collectSchemas(inner, schemas, seen)
		}
	}
}
