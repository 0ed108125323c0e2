package upstream

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"samsara.internal/gateway/internal/transcode"
)

// maxErrorBodyBytes is how much of an error body is read.
const maxErrorBodyBytes = 64 << 10

// readErrorBody returns the text and the request id in an error body. Samsara sends an object with
// message and requestId, on v1 paths a JSON string or plain text, and proxies in between send HTML. The
// bytes show which one it is; the Content-Type is often wrong. The results are single lines of valid
// UTF-8, of any length, and may be empty. A text without a letter or digit counts as empty, and so does
// an object without one behind the name of its first member: a body may be cut anywhere.
func readErrorBody(body []byte) (message, requestID string) {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte(byteOrderMark)))
	if len(body) == 0 {
		return "", ""
	}
	message = string(body)
	switch body[0] {
	case '{':
		object := readErrorObject(body)
		if _, value, _ := strings.Cut(message, ":"); !isWordy(value) {
			message = ""
		}
		message = textOr(object.message, message)
		requestID = textOr(object.requestID, "")
	case '"':
		message = textOr(body, message)
	case '<':
		message = htmlText(body)
	}
	if !isWordy(message) {
		message = ""
	}
	return oneLine(message), oneLine(requestID)
}

// isWordy reports whether a text has a letter or digit.
func isWordy(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) })
}

// errorObject is Samsara's error object, with its members as they arrive.
type errorObject struct {
	message, requestID json.RawMessage
}

// readErrorObject reads an error object as far as it is JSON, whatever other members it has and however
// deep they nest.
func readErrorObject(body []byte) (object errorObject) {
	d := json.NewDecoder(bytes.NewReader(body))
	_, err := d.Token() // the brace
	for err == nil && d.More() {
		var name json.Token
		if name, err = d.Token(); err != nil {
			break
		}
		switch name {
		case "message":
			err = d.Decode(&object.message)
		case "requestId":
			err = d.Decode(&object.requestID)
		default:
			err = skipValue(d)
		}
	}
	return object
}

// skipValue reads a value without recursion.
func skipValue(d *json.Decoder) error {
	for levels := 0; ; {
		token, err := d.Token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			levels++
		case json.Delim('}'), json.Delim(']'):
			levels--
		}
		if levels == 0 {
			return nil
		}
	}
}

// isErrorObject reports whether a JSON document is an object with a message, perhaps a requestId, and
// nothing else.
func isErrorObject(document []byte) bool {
	hasMessage := false
	for name := range transcode.Names(document) {
		switch name {
		case "message":
			hasMessage = true
		case "requestId":
		default:
			return false
		}
	}
	return hasMessage
}

// textOr returns the text of a JSON string, and otherwise the fallback.
func textOr(value []byte, fallback string) string {
	var text *string
	if json.Unmarshal(value, &text) != nil || text == nil {
		return fallback
	}
	return *text
}

// htmlText returns the title of an HTML document, or else the first text that a reader sees.
func htmlText(document []byte) string {
	var first string
	var inside atom.Atom
	tokens := html.NewTokenizer(bytes.NewReader(document))
	for {
		switch tokens.Next() {
		case html.ErrorToken:
			return first
		case html.StartTagToken:
			name, _ := tokens.TagName()
			inside = atom.Lookup(name)
		case html.EndTagToken:
			inside = 0
		case html.TextToken:
			text := strings.TrimSpace(string(tokens.Text()))
			switch {
			case text == "" || inside == atom.Script || inside == atom.Style:
			case inside == atom.Title:
				return text
			case first == "":
				first = text
			}
		case html.SelfClosingTagToken, html.CommentToken, html.DoctypeToken:
		}
	}
}

// oneLine returns a text from outside so that it fits a log line and a gRPC message: valid UTF-8, with a
// single space for every run of spaces and unprintable characters.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "\ufffd"), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
}

// bounded cuts valid UTF-8 down to limit bytes, at a character's border.
func bounded(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}

// removed stands for the token in a text that held it.
const removed = "[token]"

// leastPrefix is how many bytes of the token at the end of a text that was cut are taken for the token. A
// token of Samsara's begins with more bytes than that which are no secret.
const leastPrefix = 4

// scrub returns a text from outside without the token. Such a text may echo the token: as it is, in other
// case, as the names of headers are, with any of its bytes percent-encoded, with a backslash in front of any of
// them, as JSON's \u0041, or in base64, alone or within something else.
func scrub(text, token string) string { return scrubbed(text, token, false) }

// scrubMember returns a name in a finding without the token. The name may have been cut within the token.
func scrubMember(name, token string) string {
	return scrubbed(name, token, len(name) > transcode.MaxMemberBytes-utf8.UTFMax)
}

func scrubbed(text, token string, cut bool) string {
	text = without(text, token, cut)
	// Most texts are shorter than the token in base64.
	if len(text) < base64.RawStdEncoding.EncodedLen(len(token))-4 && !cut {
		return text
	}
	for shift := range 3 {
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			text = without(text, inBase64(token, shift, encoding), cut)
		}
	}
	return text
}

// inBase64 returns the characters that stand for the token, and nothing else, in what has it in base64 after a number
// of bytes that is shift modulo 3.
func inBase64(token string, shift int, encoding *base64.Encoding) string {
	encoded := encoding.EncodeToString([]byte("xx"[:shift] + token))
	return encoded[(8*shift+5)/6 : (shift+len(token))*8/6]
}

// without returns a text without a secret. cut is whether the text may end within it.
func without(text, token string, cut bool) string {
	if token == "" {
		return text
	}
	var b strings.Builder
	kept := 0 // how much of text is in b
	for i := 0; i < len(text); {
		n, matched := echoed(text[i:], token)
		if matched == len(token) || cut && matched >= leastPrefix && i+n == len(text) {
			b.WriteString(text[kept:i])
			b.WriteString(removed)
			i += n
			kept = i
			continue
		}
		i++
	}
	if kept == 0 {
		return text
	}
	b.WriteString(text[kept:])
	return b.String()
}

// echoed returns how many bytes of the token the text begins with, as matched, and how many bytes of the
// text these take, as n.
func echoed(text, token string) (n, matched int) {
	for ; matched < len(token); matched++ {
		want := lower(token[matched])
		switch rest := text[n:]; {
		case rest == "":
			return n, matched
		case lower(rest[0]) == want:
			n++
		case strings.HasPrefix(rest, `\u00`) && len(rest) >= len(`\u0041`) && unhex(rest[4]) >= 0 && unhex(rest[5]) >= 0 &&
			lower(byte(unhex(rest[4])<<4|unhex(rest[5]))) == want:
			n += len(`\u0041`)
		case rest[0] == '\\' && len(rest) > 1 && lower(rest[1]) == want:
			n += 2
		case rest[0] == '%':
			for rest = rest[1:]; strings.HasPrefix(rest, "25"); rest = rest[2:] { // encoded more than once
			}
			if len(rest) < 2 || unhex(rest[0]) < 0 || unhex(rest[1]) < 0 || lower(byte(unhex(rest[0])<<4|unhex(rest[1]))) != want {
				return n, matched
			}
			n = len(text) - len(rest) + 2
		default:
			return n, matched
		}
	}
	return n, matched
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// unhex returns the value of a hexadecimal digit, -1 for any other byte.
func unhex(c byte) int {
	switch c = lower(c); {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	default:
		return -1
	}
}
