package factor_test

import (
	"bytes"
	"fmt"
	"image/png"
	"strings"
	"testing"
	"time"

	"bulkhead/backend/account/factor"
	"bulkhead/internal/secret"
)

// The example of RFC 6238: the secret is "12345678901234567890"; codes of eight digits there, of which these are the last six.
func TestCodesAreThoseOfRFC6238(t *testing.T) {
	t.Parallel()
	s := factor.Stored(secret.FromString("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"))
	for at, want := range map[int64]string{59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130"} {
		moment := time.Unix(at, 0)
		step, ok := s.Match(want, moment)
		if !ok || step != factor.Step(moment) {
			t.Errorf("%d: %d, %t", at, step, ok)
		}
	}
}

func TestRecoveryCodesAreReadAsPeopleTypeThem(t *testing.T) {
	t.Parallel()
	codes, hashes := factor.NewRecovery()
	if len(codes) != 10 || len(hashes) != 10 {
		t.Fatal(len(codes))
	}
	text := string(codes[0].Reveal())
	plain := strings.ReplaceAll(text, "-", "")
	for _, typed := range []string{text, plain, strings.ToUpper(text), strings.ReplaceAll(text, "-", " "), " " + text + " "} {
		if h, ok := factor.Recovery(typed); !ok || h != hashes[0] {
			t.Errorf("%q", typed)
		}
	}
	for _, typed := range []string{"", "123456", plain[:25], plain + "a", plain[:25] + "1", strings.Repeat("a", 500), plain[:25] + "\n"} {
		if _, ok := factor.Recovery(typed); ok {
			t.Errorf("%q is one", typed)
		}
	}
}

func TestAQRCodeIsAPictureAndBlocks(t *testing.T) {
	t.Parallel()
	s := factor.NewSecret()
	uri, err := s.URI("Bulkhead", "alice@example.org")
	if err != nil || !strings.HasPrefix(string(uri.Reveal()), "otpauth://totp/Bulkhead:alice@example.org?") || !strings.Contains(string(uri.Reveal()), string(s.Text().Reveal())) {
		t.Fatal(err)
	}
	picture, err := s.PNG("Bulkhead", "alice@example.org")
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := png.Decode(bytes.NewReader(picture.Reveal()))
	if err != nil || decoded.Bounds().Dx() < 256 {
		t.Fatal(err)
	}
	if r, g, b, _ := decoded.At(decoded.Bounds().Min.X, decoded.Bounds().Min.Y).RGBA(); r+g+b != 3*0xffff {
		t.Error("there is no white border")
	}
}

func TestASecretDoesNotPrint(t *testing.T) {
	t.Parallel()
	s := factor.NewSecret()
	if text := fmt.Sprintf("%v %+v %#v", s, s, s); strings.Contains(text, string(s.Text().Reveal())) {
		t.Error(text)
	}
}

func FuzzRecovery(f *testing.F) {
	codes, _ := factor.NewRecovery()
	f.Add(string(codes[0].Reveal()))
	f.Add("123456")
	f.Add("")
	f.Fuzz(func(_ *testing.T, text string) { factor.Recovery(text) })
}

func FuzzMatch(f *testing.F) {
	s := factor.Stored(secret.FromString("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"))
	f.Add("287082")
	f.Add("２８７０８２")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if _, ok := s.Match(text, time.Unix(59, 0)); ok && (len(text) != 6 || strings.Trim(text, "0123456789") != "") {
			t.Errorf("%q", text)
		}
	})
}
