package agentcli

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"bulkhead/agent/tunnel/policy"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

const defaultPolicyFile = "/etc/bulkhead-agent/policy.yaml"

func policyFlag(f *flag.FlagSet) *string {
	return f.String("policy-file", defaultPolicyFile, "`file` that says what tunnels may reach")
}

// policyRule is a rule as `policy check` explains it.
type policyRule struct {
	Allows     string   `json:"allows"`
	Conditions []string `json:"conditions"`
}

// policyReport is what `policy check` says.
type policyReport struct {
	File    string       `json:"file"`
	Rules   []policyRule `json:"rules"`
	Target  string       `json:"target,omitempty"`
	Allowed *bool        `json:"allowed,omitempty"`
	Reason  string       `json:"reason,omitempty"`
}

// policy has one verb: check reads the policy as the agent would and explains what it allows.
func (c *command) policy(_ context.Context, args []string) error {
	if len(args) == 0 || args[0] != "check" {
		fmt.Fprintln(c.Err, "bulkhead-agent policy: want: bulkhead-agent policy check [--policy-file FILE] [--to HOST:PORT|shell]")
		return errUsage
	}
	var file, to *string
	err := c.parse("policy check", args[1:], func(f *flag.FlagSet) {
		file, to = policyFlag(f), f.String("to", "", "`target` to decide on: HOST:PORT, http://HOST:PORT, or shell")
		c.outputFlag(f)
	})
	if err != nil {
		return err
	}
	p, err := policy.Read(*file)
	if err != nil {
		return errs.As(wire.Invalid, err, "%s; until it is mended the device refuses all tunnels", err)
	}
	report := policyReport{File: *file, Rules: []policyRule{}}
	for _, r := range p.Rules {
		report.Rules = append(report.Rules, explain(r))
	}
	if *to != "" {
		if err := report.decide(p, *to); err != nil {
			return err
		}
	}
	if err := c.print(report, report.print); err != nil {
		return err
	}
	if report.Allowed != nil && !*report.Allowed {
		return errs.E(wire.Denied, "%s", report.Reason)
	}
	return nil
}

func (r *policyReport) decide(p policy.Policy, to string) error {
	target := wire.PTY
	if to != target.String() {
		var err error
		if target, err = wire.ParseTarget(to); err != nil {
			return errs.As(wire.Invalid, err, "--to: %s", err)
		}
	}
	a := p.Decide(policy.Question{Target: target, EndToEnd: !target.Protocol.Web(), At: time.Now()})
	r.Target, r.Allowed, r.Reason = target.String(), &a.Allowed, a.Reason
	return nil
}

// reader says who can read what goes to the target.
func (r *policyReport) reader() string {
	if strings.Contains(r.Target, "://") {
		return "readable by the gateway"
	}
	return "encrypted from end to end"
}

func explain(r policy.Rule) policyRule {
	out := policyRule{Conditions: []string{}}
	if r.Protocol == wire.ProtocolPTY {
		out.Allows = "a shell"
		if r.Shell.User != "" {
			out.Allows += " as " + r.Shell.User
		}
	} else {
		out.Allows = string(r.Protocol) + " to " + strings.Join(hosts(r), ", ") + " at " + strings.Join(ports(r), ", ")
	}
	when := func(yes bool, format string, args ...any) {
		if yes {
			out.Conditions = append(out.Conditions, fmt.Sprintf(format, args...))
		}
	}
	when(r.Hours.From != r.Hours.To, "from %02d:%02d to %02d:%02d", r.Hours.From/60, r.Hours.From%60, r.Hours.To/60, r.Hours.To%60)
	when(len(r.Hours.Days) > 0, "on %v", r.Hours.Days)
	when(r.Rate > 0, "at most %d KiB/s each way", r.Rate>>10)
	when(r.Streams > 0, "at most %d streams", r.Streams)
	when(r.EndToEnd, "encrypted from end to end")
	when(r.Protocol == wire.ProtocolPTY && !r.EndToEnd, "also in a browser, where the gateway reads it")
	when(r.Protocol.Web(), "readable by the gateway")
	when(r.Certificate.Any, "whatever certificate it shows")
	when(r.Certificate.Pinned != nil, "with the certificate sha256:%x", r.Certificate.Pinned)
	when(r.Record, "recorded")
	return out
}

func hosts(r policy.Rule) []string {
	list := append([]string(nil), r.Names...)
	for _, a := range r.Addresses {
		if a.IsSingleIP() {
			list = append(list, a.Addr().String())
		} else {
			list = append(list, a.String())
		}
	}
	return list
}

func ports(r policy.Rule) []string {
	var list []string
	for _, p := range r.Ports {
		if p.First == p.Last {
			list = append(list, fmt.Sprintf("port %d", p.First))
		} else {
			list = append(list, fmt.Sprintf("ports %d to %d", p.First, p.Last))
		}
	}
	return list
}

func (r *policyReport) print(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer t.Flush() //nolint:errcheck // there is nobody to tell
	fmt.Fprintf(t, "policy\t%s\n", r.File)
	if len(r.Rules) == 0 {
		fmt.Fprintf(t, "allows\tnothing\n")
	}
	for _, rule := range r.Rules {
		fmt.Fprintf(t, "allows\t%s\n", strings.Join(append([]string{rule.Allows}, rule.Conditions...), "; "))
	}
	if r.Allowed != nil {
		fmt.Fprintf(t, "%s\t%s\n", r.Target, map[bool]string{true: "allowed now, " + r.reader(), false: "refused"}[*r.Allowed])
	}
}
