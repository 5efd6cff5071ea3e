package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"bulkhead/backend/httpapi"
	"bulkhead/backend/recording"
	"bulkhead/internal/cast"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

func (inv *invocation) recordingCommand() *cobra.Command {
	return group("recording", "What was shown in shells on devices", inv.recordingList(), inv.recordingPlay(), inv.recordingExport())
}

func (inv *invocation) recordingList() *cobra.Command {
	var project, device string
	c := &cobra.Command{Use: "list --project PROJECT", Short: "List the newest 500 recordings of a project"}
	c.Flags().StringVar(&device, "device", "", "only of this device of the project")
	c.RunE = func(c *cobra.Command, _ []string) error {
		api, err := inv.client()
		if err != nil {
			return err
		}
		query := url.Values{}
		if device != "" {
			query.Set("device", device)
		}
		list, err := fetch[httpapi.List[httpapi.Recording]](c.Context(), api, request{method: http.MethodGet, path: path("projects", project, "recordings"), query: query})
		if err != nil {
			return err
		}
		return inv.print(list.Items, func() table {
			t := table{head: []string{"ID", "DEVICE", "BY", "BEGAN", "LAST", "STATE", "BYTES", "ENDED"}}
			for _, r := range list.Items {
				t.add(r.ID, r.Device, r.ByName, when(r.BeganAt), when(r.LastAt), r.State, text(r.Bytes), r.Ended)
			}
			return t
		})
	}
	return ofProject(c, &project, true)
}

const signerUsage = "fingerprint of the key with which the device signed it, where that is not the one which is known here"

func (inv *invocation) recordingPlay() *cobra.Command {
	var speed float64
	var idle time.Duration
	var signer string
	c := &cobra.Command{
		Use: "play ID", Short: "Play a recording at the terminal; exit code 7 where it was altered", Args: arguments(1, 1),
		Long: "Fetches and verifies the whole recording, then shows it as it was shown. What would do anything beside drawing is left out.",
	}
	c.Flags().Float64Var(&speed, "speed", 1, "how many times as fast")
	c.Flags().DurationVar(&idle, "idle-limit", 2*time.Second, "longest pause; 0: as they were")
	c.Flags().StringVar(&signer, "signer", "", signerUsage)
	c.RunE = func(c *cobra.Command, args []string) error {
		if !(speed > 0) || idle < 0 {
			return usage(c, "--speed and --idle-limit: want numbers above 0")
		}
		if err := inv.asItIs(c); err != nil {
			return err
		}
		var played player
		if err := inv.readRecording(c.Context(), args[0], recording.Play, signer, &played); err != nil {
			return err
		}
		return played.play(c.Context(), inv.Out, speed, idle)
	}
	return c
}

func (inv *invocation) recordingExport() *cobra.Command {
	var format, file, signer string
	c := &cobra.Command{
		Use: "export ID --format cast|text", Short: "Write a recording as asciicast v2 or plain text; exit code 7 where it was altered", Args: arguments(1, 1),
		Example: "  bulkhead recording export ID --format cast --file shell.cast\n  bulkhead recording export ID --format text | less",
	}
	c.Flags().StringVar(&format, "format", "cast", "cast: asciicast v2; text: what one read, without colours and the like")
	c.Flags().StringVar(&file, "file", "", "write to this file, which is there when the whole recording is verified; default: standard output, as far as it is verified")
	c.Flags().StringVar(&signer, "signer", "", signerUsage)
	c.RunE = func(c *cobra.Command, args []string) error {
		if format != "cast" && format != "text" {
			return usage(c, "--format %s: want cast or text", format)
		}
		if err := inv.asItIs(c); err != nil {
			return err
		}
		write := func(to io.Writer) error {
			return inv.exportRecording(c.Context(), args[0], signer, format, to)
		}
		if file == "" {
			return write(inv.Out)
		}
		return wholeFile(file, write)
	}
	return c
}

func (inv *invocation) exportRecording(ctx context.Context, id, signer, format string, to io.Writer) error {
	out := bufio.NewWriter(to)
	var err error
	if format == "text" {
		plain := textWriter{cast.NewPlain(out)}
		if err = inv.readRecording(ctx, id, recording.Export, signer, plain); err == nil {
			err = plain.Close()
		}
	} else {
		err = inv.readRecording(ctx, id, recording.Export, signer, castWriter{out})
	}
	if errOut := out.Flush(); err == nil {
		err = errOut
	}
	return err
}

// wholeFile makes a file that is there as a whole or not at all.
func wholeFile(name string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".recording-*") // mode 0600
	if err != nil {
		return errs.As(wire.Invalid, err, "%s cannot be written", name)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it is renamed by then, or of no use
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if errClose := f.Close(); err == nil {
		err = errClose
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	return err
}

// castWriter writes asciicast anew, so that a terminal does not obey what a device has put between its lines.
type castWriter struct{ to *bufio.Writer }

func (w castWriter) header(h cast.Header) error {
	line, err := cast.AppendHeader(nil, h)
	if err == nil {
		_, err = w.to.Write(line)
	}
	return err
}

func (w castWriter) event(e cast.Event) error {
	_, err := w.to.Write(cast.AppendEvent(nil, e))
	return err
}

type textWriter struct{ *cast.Plain }

func (w textWriter) header(h cast.Header) error {
	if h.Command == "" {
		return nil
	}
	return w.Show("$ " + h.Command + "\n")
}

func (w textWriter) event(e cast.Event) error {
	if e.Code != cast.Output {
		return nil
	}
	return w.Show(e.Data)
}

// player keeps a recording until it is verified, then plays it.
type player struct {
	head   cast.Header
	events []cast.Event
}

func (p *player) header(h cast.Header) error { p.head = h; return nil }
func (p *player) event(e cast.Event) error   { p.events = append(p.events, e); return nil }

// play shows the output in time. However it ends, the terminal is as it was.
func (p *player) play(ctx context.Context, out io.Writer, speed float64, idle time.Duration) error {
	var screen cast.Screen
	if isTerminal(out) {
		defer fmt.Fprint(out, cast.Restore, "\r\n")
	}
	var at time.Duration
	for _, e := range p.events {
		pause := max(0, e.At-at)
		if at = e.At; idle > 0 {
			pause = min(pause, idle)
		}
		if err := rest(ctx, time.Duration(float64(pause)/speed)); err != nil {
			return err
		}
		if e.Code != cast.Output {
			continue
		}
		if _, err := io.WriteString(out, screen.Draw(e.Data)); err != nil {
			return err
		}
	}
	return nil
}

func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
