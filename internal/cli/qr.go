package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/boombuler/barcode/qr"
)

// quiet is the margin of a QR code: the standard wants four modules, and cameras do with two.
const quiet = 2

// writeQR draws a QR code with half blocks, two modules to a character. It is drawn black on white whatever the terminal's
// colours are, since some cameras read nothing else.
func writeQR(w io.Writer, text string) error {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return err
	}
	size := code.Bounds().Dx()
	dark := func(x, y int) bool {
		if x < 0 || y < 0 || x >= size || y >= size {
			return false
		}
		r, _, _, _ := code.At(x, y).RGBA()
		return r == 0
	}
	for y := -quiet; y < size+quiet; y += 2 {
		var line strings.Builder
		for x := -quiet; x < size+quiet; x++ {
			line.WriteString(halves[dark(x, y)][dark(x, y+1)])
		}
		if _, err := fmt.Fprintf(w, "\x1b[30;107m%s\x1b[0m\n", line.String()); err != nil {
			return err
		}
	}
	return nil
}

// halves is a character by whether its upper and its lower half are dark.
var halves = map[bool]map[bool]string{false: {false: " ", true: "▄"}, true: {false: "▀", true: "█"}}
