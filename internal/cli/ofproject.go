package cli

import "github.com/spf13/cobra"

const projectUsage = "project, by name or key; it may stand without the flag, too"

// ofProject makes c, which lists what a project has, take the project in both ways that people type: --project PROJECT, as
// its help says, or PROJECT alone. Where a project is needed it adds the flag; elsewhere the flag is there already.
func ofProject(c *cobra.Command, project *string, needed bool) *cobra.Command {
	if needed {
		c.Flags().StringVar(project, "project", "", projectUsage)
	}
	c.Args = arguments(0, 1)
	do := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 1 {
			if *project != "" && *project != args[0] {
				return usage(c, "two projects are named: %s and %s", *project, args[0])
			}
			*project = args[0]
		}
		if needed && *project == "" {
			return usage(c, "--project is missing")
		}
		return do(c, nil)
	}
	return c
}
