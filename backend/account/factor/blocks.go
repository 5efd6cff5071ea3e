package factor

import (
	"fmt"
	"image"
	"image/color"
	"strings"

	"github.com/pquerna/otp"

	"bulkhead/internal/secret"
)

// The sizes of QR codes, in modules, and the quiet zone around one.
const (
	smallest = 21
	largest  = 177
	growth   = 4
	quiet    = 2
)

// At gives white for the border.
func (b bordered) At(x, y int) color.Color {
	if !(image.Point{x, y}).In(b.Image.Bounds()) {
		return color.White
	}
	return b.Image.At(x, y)
}

// Blocks draws a URI as a QR code for a terminal: two modules in a character, white on black ground as on paper.
func Blocks(uri secret.Value) (string, error) {
	key, err := otp.NewKeyFromURL(string(uri.Reveal()))
	if err != nil || !strings.HasPrefix(key.URL(), "otpauth://totp/") {
		return "", fmt.Errorf("factor: not a URI of a second factor")
	}
	picture, size, err := modules(key)
	if err != nil {
		return "", err
	}
	white := func(x, y int) bool {
		if x < 0 || y < 0 || x >= size || y >= size {
			return true
		}
		r, _, _, _ := picture.At(x, y).RGBA()
		return r > 0x7fff
	}
	var out strings.Builder
	for y := -quiet; y < size+quiet; y += 2 {
		for x := -quiet; x < size+quiet; x++ {
			out.WriteString(half[white(x, y)][white(x, y+1)])
		}
		out.WriteByte('\n')
	}
	return out.String(), nil
}

var half = map[bool]map[bool]string{true: {true: "█", false: "▀"}, false: {true: "▄", false: " "}}

// modules gives the code at one pixel a module: its own size is the smallest at which it can be drawn.
func modules(key *otp.Key) (image.Image, int, error) {
	for size := smallest; size <= largest; size += growth {
		if picture, err := key.Image(size, size); err == nil {
			return picture, size, nil
		}
	}
	return nil, 0, fmt.Errorf("factor: the URI is too long for a QR code")
}
