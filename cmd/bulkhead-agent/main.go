// Command bulkhead-agent keeps a device in the realms of its project.
package main

import (
	"os"

	"bulkhead/internal/cli/agentcli"
)

func main() {
	os.Exit(agentcli.Main(os.Args[1:], os.Getenv, agentcli.Streams{Out: os.Stdout, Err: os.Stderr}))
}
