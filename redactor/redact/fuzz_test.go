package redact

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/schemas"
)

// FuzzRedact holds for any text: it is refused, or what comes out is JSON that
// equals the input outside the masks, and a second run changes nothing.
func FuzzRedact(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		event, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(event)
	}
	for _, event := range []string{
		`{}`, `[]`, `"`, ``, `{"a":{"password":{"b":[1,"x",null,{"pk":1,"app":"","model_name":0}]}}}`,
		`{"query":"a=%26token%3Db\u0026key=\ud83d\ude00%25%32%35#x?y=z"}`, `{"url":"/a?b=%2526key%253Dc#auth=d"}`,
		`{"http_request":{"args":["key=a",{"b":"token=%2a"}]}}`, `{"\u0070ass\ud800":1e5}`, "{\"key\":\"\\u002a\"}",
		strings.Repeat(`{"key":[`, 20) + "1" + strings.Repeat(`]}`, 20), strings.Repeat(`[{"":`, 30),
	} {
		f.Add([]byte(event))
	}
	engine := newEngine(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		event := bytes.Clone(in)
		if got, err := engine.Redact(nil, in); err != nil {
			var rejection *schemas.Rejection
			if !errors.As(err, &rejection) || rejection.Reason == schemas.ReasonInternal || got.Clean != nil {
				t.Fatalf("refused with %v", err)
			}
		}
		got, err := engine.RedactJSON(nil, in)
		if !bytes.Equal(in, event) {
			t.Fatal("the input was changed")
		}
		if err != nil {
			var rejection *schemas.Rejection
			if json.Valid(in) && !errors.As(err, &rejection) { // encoding/json takes what is not UTF-8
				if bytes.Equal(bytes.ToValidUTF8(in, nil), in) {
					t.Fatalf("valid JSON was refused: %v", err)
				}
			}
			return
		}
		sameOutsideMasks(t, in, got.Clean)
		again, err := engine.RedactJSON(nil, got.Clean)
		if err != nil || !bytes.Equal(again.Clean, got.Clean) || len(again.Counts) != 0 {
			t.Fatalf("not idempotent: %v\n%s\n%s", err, got.Clean, again.Clean)
		}
		if header := got.Header(); header != "" && !json.Valid([]byte(header)) {
			t.Fatalf("header %q", header)
		}
		if (len(got.Counts) > 0) != (len(got.Masked) > 0 || got.Truncated) {
			t.Fatalf("counts %v, masked %v", got.Counts, got.Masked)
		}
	})
}

// sameOutsideMasks compares both texts by encoding/json, token by token, which
// sees duplicate names too.
func sameOutsideMasks(t *testing.T, in, out []byte) {
	t.Helper()
	a, b := json.NewDecoder(bytes.NewReader(in)), json.NewDecoder(bytes.NewReader(out))
	a.UseNumber()
	b.UseNumber()
	for {
		want, errA := a.Token()
		got, errB := b.Token()
		if errA != nil || errB != nil {
			if !errors.Is(errA, io.EOF) || !errors.Is(errB, io.EOF) {
				t.Fatalf("read input: %v, output: %v\n%s\n%s", errA, errB, in, out)
			}
			return
		}
		if want == got || got == schemas.Mask {
			continue
		}
		before, isText := want.(string)
		after, _ := got.(string)
		if !isText || !maskedText(before, after) {
			t.Fatalf("%v became %v\n%s\n%s", want, got, in, out)
		}
	}
}

// maskedText reports whether after is before with parts of it masked.
func maskedText(before, after string) bool {
	parts := strings.Split(after, schemas.Mask)
	if len(parts) < 2 || !strings.HasPrefix(before, parts[0]) {
		return false
	}
	rest := before[len(parts[0]):]
	for _, part := range parts[1:] {
		i := strings.Index(rest, part)
		if i < 0 {
			return false
		}
		rest = rest[i+len(part):]
	}
	return true
}

// FuzzPlanted plants a secret in every place the rules know, amid anything, and
// looks for it in all that comes out.
func FuzzPlanted(f *testing.F) {
	const planted = "S3CR3T"
	for _, noise := range []string{"", "a", "pk", "passing", `"\`, "a=b&c", "%26%3D", "?#", "auth_method", "x\u0000\ufffd", "&#;=+%"} {
		f.Add(noise, uint8(3))
	}
	engine := newEngine(f)
	f.Fuzz(func(t *testing.T, noise string, depth uint8) {
		if strings.Contains(noise, "S3") {
			t.Skip("might be the secret itself")
		}
		var inner any = planted
		for i := range depth % 32 {
			if i%2 == 0 {
				inner = []any{noise, inner}
			} else {
				inner = map[string]any{noise: inner}
			}
		}
		event, err := json.Marshal(map[string]any{
			"context": map[string]any{
				"password": planted, "api_keys": []any{noise, []any{planted}},
				"secret": map[string]any{noise: planted, "x": inner},
				noise:    map[string]any{"token": inner},
				"query":  noise + "&token=" + planted, "url": noise + "?" + noise + "&api_key=" + planted,
				"http_request": map[string]any{"args": map[string]any{
					noise: "token=" + planted, "next": "%2F%3Ftoken%3D" + planted, "z": "next=%252F%253Fapi_key%253D" + planted + "%2526x",
				}},
			},
			"a" + noise: map[string]any{"cookie": planted, "otp": inner},
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := engine.Redact(nil, event)
		if err != nil {
			if strings.Contains(err.Error(), planted) {
				t.Fatal("the error quotes the secret")
			}
			t.Skip(err)
		}
		if bytes.Contains(got.Clean, []byte(planted)) || strings.Contains(got.Header(), planted) {
			t.Fatalf("leaked:\n%s\n%s", got.Clean, got.Header())
		}
		sameOutsideMasks(t, event, got.Clean)
	})
}
