package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// refusal is why a request is not answered as it asks.
type refusal struct {
	status  int
	message string
	allow   []string // of a 405
}

func refuse(status int, format string, args ...any) *refusal {
	return &refusal{status: status, message: fmt.Sprintf(format, args...)}
}

// reply is what goes out.
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

// encode writes JSON. Whatever it is given consists of strings, numbers, bools, maps and slices,
// all of which can be written.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return []byte(strconv.Quote(err.Error()))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
