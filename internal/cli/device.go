package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bulkhead/backend/httpapi"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

func deviceRows(d httpapi.Device) [][]string {
	return [][]string{
		{"name", d.Name}, {"key", d.Key.String()}, {"serial", string(d.Serial)}, {"project", d.ProjectKey.String()},
		{"device realm", d.DeviceRealm}, {"suspended", yesNo(d.Suspended)}, {"created", when(d.CreatedAt)},
	}
}

func (inv *invocation) deviceCommand() *cobra.Command {
	return group("device", "Devices, named PROJECT/NAME, by serial or by key",
		inv.deviceList(),
		inv.deviceShow(), inv.deviceCreate(), inv.deviceUpdate(), inv.deviceRotate(),
		inv.deviceAction("suspend", http.MethodPost, "suspend", "End a device's sessions and let it join no more"),
		inv.deviceAction("resume", http.MethodPost, "resume", "Let a suspended device join again"),
		inv.deviceAction("delete", http.MethodDelete, "", "Delete a device; its rows stay"),
		inv.deviceAction("revoke", http.MethodDelete, "", "Delete a device and its credentials; its rows stay"),
	)
}

func (inv *invocation) deviceList() *cobra.Command {
	var project string
	return ofProject(listing(inv, "list --project PROJECT", "List a project's devices", nil, func(*cobra.Command, []string) (string, error) {
		return path("projects", project, "devices"), nil
	}, []string{"NAME", "KEY", "SERIAL", "SUSPENDED", "CREATED"}, func(d httpapi.Device) []string {
		return []string{d.Name, d.Key.String(), string(d.Serial), yesNo(d.Suspended), when(d.CreatedAt)}
	}), &project, true)
}

func (inv *invocation) deviceShow() *cobra.Command {
	c := &cobra.Command{Use: "show DEVICE", Short: "Show a device", Args: arguments(1, 1)}
	c.RunE = func(c *cobra.Command, args []string) error {
		api, err := inv.client()
		if err != nil {
			return err
		}
		d, _, err := find(c.Context(), api, args[0])
		if err != nil {
			return err
		}
		return inv.print(d, func() table { return table{rows: deviceRows(d)} })
	}
	return c
}

// find looks up a device by any of its names, and gives its path.
func find(ctx context.Context, c *client, name string) (httpapi.Device, string, error) {
	d, err := fetch[httpapi.Device](ctx, c, request{method: http.MethodGet, path: path("devices", name)})
	if project, _, named := strings.Cut(name, "/"); named && errs.KindOf(err) == wire.NotFound {
		err = errs.E(wire.NotFound, "there is no device %q that you may see\n  type: bulkhead device list %s", name, project)
	}
	return d, path("projects", d.ProjectKey.String(), "devices", d.Key.String()), err
}

// deviceAction is a command that does one thing to a device and has nothing to show.
func (inv *invocation) deviceAction(verb, method, suffix, short string) *cobra.Command {
	c := &cobra.Command{Use: verb + " DEVICE", Short: short, Args: arguments(1, 1)}
	c.RunE = func(c *cobra.Command, args []string) error {
		api, err := inv.client()
		if err != nil {
			return err
		}
		_, target, err := find(c.Context(), api, args[0])
		if err != nil {
			return err
		}
		if suffix != "" {
			target += "/" + suffix
		}
		response, err := api.do(c.Context(), request{method: method, path: target})
		if err != nil {
			return err
		}
		return response.Body.Close()
	}
	return c
}

func (inv *invocation) deviceUpdate() *cobra.Command {
	var name string
	c := &cobra.Command{Use: "update DEVICE --name NAME", Short: "Rename a device", Args: arguments(1, 1)}
	c.Flags().StringVar(&name, "name", "", "new name")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := required(c, "name"); err != nil {
			return err
		}
		api, err := inv.client()
		if err != nil {
			return err
		}
		_, target, err := find(c.Context(), api, args[0])
		if err != nil {
			return err
		}
		d, err := fetch[httpapi.Device](c.Context(), api, request{method: http.MethodPatch, path: target, ifMatch: "*", body: httpapi.DeviceUpdate{Name: &name}})
		if err != nil {
			return err
		}
		return inv.print(d, func() table { return table{rows: deviceRows(d)} })
	}
	return c
}

func (inv *invocation) deviceCreate() *cobra.Command {
	var project, flashFile string
	c := &cobra.Command{
		Use: "create NAME --project PROJECT --flash-file FILE", Short: "Create a device and write its flash file, once", Args: arguments(1, 1),
		Example: "  bulkhead device create press-7 --project plant-a --flash-file press-7.flash\n  bulkhead-agent run --flash-file press-7.flash",
	}
	c.Flags().StringVar(&project, "project", "", "project")
	c.Flags().StringVar(&flashFile, "flash-file", "", "file to write; it must not exist")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := required(c, "project", "flash-file"); err != nil {
			return err
		}
		return inv.flash(c.Context(), flashFile, func(api *client) (request, error) {
			return request{method: http.MethodPost, path: path("projects", project, "devices"), body: httpapi.DeviceCreate{Name: args[0]}}, nil
		})
	}
	return c
}

func (inv *invocation) deviceRotate() *cobra.Command {
	var flashFile string
	var grace time.Duration
	c := &cobra.Command{Use: "rotate DEVICE --flash-file FILE", Short: "Give a device a new secret and write its new flash file, once", Args: arguments(1, 1)}
	c.Flags().StringVar(&flashFile, "flash-file", "", "file to write; it must not exist")
	c.Flags().DurationVar(&grace, "grace", time.Hour, "how long the older secret stays accepted, at most 1h")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := required(c, "flash-file"); err != nil {
			return err
		}
		seconds := int(grace / time.Second)
		return inv.flash(c.Context(), flashFile, func(api *client) (request, error) {
			_, target, err := find(c.Context(), api, args[0])
			return request{method: http.MethodPost, path: target + "/rotate", body: httpapi.DeviceRotate{GraceSeconds: &seconds}}, err
		})
	}
	return c
}

// flash makes a request that answers with a flash file and writes it. The file is opened first: a secret that cannot be
// written is lost.
func (inv *invocation) flash(ctx context.Context, file string, make func(*client) (request, error)) error {
	api, err := inv.client()
	if err != nil {
		return err
	}
	r, err := make(api)
	if err != nil {
		return err
	}
	if err := reserve(file); err != nil {
		return err
	}
	reply, err := fetch[httpapi.DeviceFlash](ctx, api, r)
	if err != nil {
		_ = os.Remove(file) // it is empty and ours
		return err
	}
	if err := WriteFlash(file, reply.Flash); err != nil {
		return err
	}
	fmt.Fprintf(inv.Err, "wrote %s: put it on the device and keep no copy\n", file)
	return inv.print(reply.Device, func() table { return table{rows: deviceRows(reply.Device)} })
}

// reserve makes the file, empty, and refuses one that exists.
func reserve(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if os.IsExist(err) {
		return errs.As(wire.Conflict, err, "%s exists: choose another name, or move it away", file)
	}
	if err != nil {
		return errs.As(wire.Invalid, err, "%s cannot be written", file)
	}
	return f.Close()
}

// WriteFlash writes a flash file with mode 0600.
func WriteFlash(file string, f wire.Flash) error {
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	return errs.As(wire.Invalid, secret.WriteFile(file, append(text, '\n')), "%s cannot be written", file)
}
