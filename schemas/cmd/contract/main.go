// Command contract writes what follows from the rest of the contract: the schema
// of whole events, the AsyncAPI document and the page that describes them.
//
//	go run ./cmd/contract -root ..
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	root := flag.String("root", "..", "the repository")
	flag.Parse()
	for name, text := range documents() {
		if err := os.WriteFile(filepath.Join(*root, name), text, 0o600); err != nil {
			fmt.Fprintln(os.Stderr, "contract:", err)
			os.Exit(1)
		}
	}
}

// documents are the files that are written, by their name in the repository. The
// page is made of the schemas as they are embedded.
func documents() map[string][]byte {
	return map[string][]byte{
		"schemas/contract/event.json":    render(wholeEvent()),
		"schemas/contract/asyncapi.json": render(asyncAPI()),
		"docs/schemas.md":                page(),
	}
}
