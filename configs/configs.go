// Package configs has the configuration files that we ship.
//
// It promises that each is loaded by a test as a user would load it.
package configs

import _ "embed"

// HostMetrics is the template of the sample app that `bulkhead dev` installs.
//
//go:embed host-metrics.yaml
var HostMetrics []byte

// AgentPolicy is the policy of tunnels that `bulkhead dev` gives its agents, every key explained.
//
//go:embed agent-policy.yaml
var AgentPolicy []byte

// Server is the configuration of `bulkhead serve`, every key with its default.
//
//go:embed bulkhead.yaml
var Server []byte
