package surface

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path"
	"regexp"
	"strings"
)

// Binary is a build of the gateway as a file. It is immutable.
type Binary struct {
	Path string

	flags   map[string]bool
	methods map[Operation]listed
}

// listed is an operation as `gateway endpoints --format json` has it.
type listed struct {
	// Method is "samsara_gateway.vehicles.v1.VehiclesService/ListVehicles".
	Method     string   `json:"method"`
	HTTPMethod string   `json:"httpMethod"`
	Path       string   `json:"path"`
	Streams    []string `json:"streams"`
}

// Inspect asks a binary what it has.
func Inspect(ctx context.Context, path string) (*Binary, error) {
	help, err := output(ctx, path, "help")
	if err != nil {
		return nil, err
	}
	list, err := output(ctx, path, "endpoints", "--format", "json")
	if err != nil {
		return nil, err
	}
	var all []listed
	if err := json.Unmarshal(list, &all); err != nil {
		return nil, fmt.Errorf("%s endpoints: %w", path, err)
	}
	b := &Binary{Path: path, flags: map[string]bool{}, methods: map[Operation]listed{}}
	for _, match := range regexp.MustCompile(`(?m)^ +--([a-z0-9-]+)`).FindAllSubmatch(help, -1) {
		b.flags[string(match[1])] = true
	}
	for _, one := range all {
		b.methods[Operation(one.HTTPMethod+" "+one.Path)] = one
	}
	return b, nil
}

func output(ctx context.Context, path string, args ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, path, args...) //nolint:gosec // the command line names the binary
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", path, strings.Join(args, " "), err, stderr.String())
	}
	return out, nil
}

// Known returns the arguments, each like "--flag" or "--flag=value", that the binary has a flag for.
func (b *Binary) Known(arguments ...string) []string {
	var known []string
	for _, argument := range arguments {
		name, _, _ := strings.Cut(strings.TrimPrefix(argument, "--"), "=")
		if b.flags[name] {
			known = append(known, argument)
		}
	}
	return known
}

// Unary returns the name of an operation's method, such as
// "/samsara_gateway.vehicles.v1.VehiclesService/ListVehicles".
func (b *Binary) Unary(o Operation) (string, error) {
	one, ok := b.methods[o]
	if !ok {
		return "", fmt.Errorf("%s: has no method for %s", b.Path, o)
	}
	return "/" + one.Method, nil
}

// Follow returns the name of the method that follows an operation's feed.
func (b *Binary) Follow(o Operation) (string, error) {
	for _, stream := range b.methods[o].Streams {
		if strings.HasPrefix(stream, "Follow") {
			return "/" + path.Dir(b.methods[o].Method) + "/" + stream, nil
		}
	}
	return "", fmt.Errorf("%s: has no method that follows %s", b.Path, o)
}
