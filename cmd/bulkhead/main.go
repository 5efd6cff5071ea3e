// Command bulkhead is the server, and the command line of those who operate and use it.
package main

import (
	"os"

	"bulkhead/internal/cli"
	"bulkhead/internal/slack"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		slack.Take()
	}
	os.Exit(cli.Main(os.Args[1:], os.Environ(), cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}
