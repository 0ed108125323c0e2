package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// refusal is why a request fails.
type refusal struct {
	status  int
	message string
	allow   []string // of a 405
}

func refuse(status int, format string, args ...any) *refusal {
	return &refusal{status: status, message: fmt.Sprintf(format, args...)}
}

// reply is an HTTP response.
type reply struct {
	status      int
	contentType string
	body        []byte
	retryAfter  time.Duration
	allow       []string
}

// refused writes an error in the shape that Samsara gives it: text for 5XX, a bare JSON string
// below /v1/, else an object.
func refused(path, id string, why *refusal) reply {
	out := reply{status: why.status, contentType: "application/json", allow: why.allow}
	switch {
	case why.status >= http.StatusInternalServerError:
		out.contentType, out.body = "text/plain; charset=utf-8", []byte(why.message)
	case legacy(path):
		out.body = encode(why.message)
	case id == "":
		out.body = encode(map[string]any{"message": why.message})
	default:
		out.body = encode(map[string]any{"message": why.message, "requestId": id})
	}
	return out
}

// encode returns a value that appendJSON takes as JSON.
func encode(v any) []byte { return appendJSON(nil, v) }

// separate writes a comma, except before the first element of a list or member of an object.
func separate(b []byte) []byte {
	if last := b[len(b)-1]; last == '[' || last == '{' {
		return b
	}
	return append(b, ',')
}

// appendJSON writes a value of the sandbox: a string, number, bool, nil, a map or slice of these, or JSON.
// For any other type it writes null. Members are in the order of their names.
func appendJSON(b []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return appendString(b, v)
	case json.Number:
		return append(b, v...)
	case json.RawMessage:
		return append(b, v...)
	case bool:
		return strconv.AppendBool(b, v)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case float64:
		return appendFloat(b, v)
	case []any:
		b = append(b, '[')
		for _, element := range v {
			b = appendJSON(separate(b), element)
		}
		return append(b, ']')
	case map[string]any:
		b = append(b, '{')
		for _, name := range slices.Sorted(maps.Keys(v)) {
			b = append(appendString(separate(b), name), ':')
			b = appendJSON(b, v[name])
		}
		return append(b, '}')
	}
	return append(b, "null"...)
}

func appendFloat(b []byte, v float64) []byte { return strconv.AppendFloat(b, v, 'f', -1, 64) }

// appendString writes a string as encoding/json does without escapes for HTML.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return appendEscaped(b, s)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func appendEscaped(b []byte, s string) []byte {
	var quoted bytes.Buffer
	e := json.NewEncoder(&quoted)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return append(b, `""`...) // cannot happen: every string can be written
	}
	return append(b, bytes.TrimSuffix(quoted.Bytes(), []byte("\n"))...)
}
