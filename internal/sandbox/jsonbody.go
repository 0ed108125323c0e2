package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

// maxBodyDepth is how deep a request body may nest.
const maxBodyDepth = 64

// decodeBody reads one JSON document. Unlike encoding/json it refuses two members of one name, invalid
// UTF-8, and anything after the document.
// Numbers keep their text as json.Number.
func decodeBody(data []byte) (any, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := decodeValue(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("goes on after the JSON document")
	}
	return v, nil
}

func decodeValue(d *json.Decoder, depth int) (any, error) {
	if depth > maxBodyDepth {
		return nil, fmt.Errorf("nests deeper than %d levels", maxBodyDepth)
	}
	token, err := d.Token()
	if err != nil {
		return nil, fmt.Errorf("is not JSON: %w", err)
	}
	switch token {
	case json.Delim('{'):
		return decodeObject(d, depth)
	case json.Delim('['):
		values := []any{}
		for d.More() {
			v, err := decodeValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			values = append(values, v)
		}
		return values, closeDelim(d)
	}
	return token, nil
}

func decodeObject(d *json.Decoder, depth int) (any, error) {
	values := map[string]any{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("is not JSON: %w", err)
		}
		name, ok := token.(string)
		if !ok {
			return nil, errors.New("is not JSON: a member has no name")
		}
		if _, twice := values[name]; twice {
			return nil, fmt.Errorf("has two members %s", quote(name))
		}
		if values[name], err = decodeValue(d, depth+1); err != nil {
			return nil, err
		}
	}
	return values, closeDelim(d)
}

func closeDelim(d *json.Decoder) error {
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("is not JSON: %w", err)
	}
	return nil
}

func jsonType(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "true or false"
	case json.Number:
		return "a number"
	case []any:
		return "a list"
	default:
		return "an object"
	}
}

// maxQuotedBytes is how much of a caller's value an error message repeats.
const maxQuotedBytes = 64

func quote(s string) string { return strconv.Quote(shorten(s)) }

func shorten(s string) string {
	if len(s) <= maxQuotedBytes {
		return s
	}
	end := maxQuotedBytes
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}
