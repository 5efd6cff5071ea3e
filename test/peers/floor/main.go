// Command floor serves the floor that routers are compared with; see package floor.
package main

import (
	"fmt"
	"os"

	"bulkhead/test/peers/internal/floor"
	"bulkhead/test/peers/internal/scene"
)

func main() {
	flags := scene.ReadFlags()
	h, err := floor.New()
	if err == nil {
		err = scene.Serve(flags, h)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
