package generate_test

import (
	"bytes"
	"fmt"

	"sluice/producer/generate"
)

func Example() {
	g := generate.New(generate.Config{Seed: 1, SecretRate: 0.5})
	for range 3 {
		e := g.Next()
		for _, s := range e.Secrets {
			fmt.Println(e.Action, "carries a secret at", s.Pointer)
		}
		fmt.Println(e.Action, bytes.Contains(e.JSON, []byte(generate.Marker(1))))
	}
	// Output:
	// policy_exception false
	// update_available carries a secret at /context/session_cookie
	// update_available true
	// authorize_application false
}
