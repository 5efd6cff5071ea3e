package dev

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

func TestACodeIsWhatAnAuthenticatorShows(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, samplesFolder), 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, samplesFolder, "owner.totp")
	if err := secret.WriteFile(file, []byte("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")); err != nil {
		t.Fatal(err)
	}
	code, left, err := Code(dir, "owner", time.Unix(59, 0)) // RFC 6238, appendix B
	if err != nil || code != "287082" || left != time.Second {
		t.Errorf("got %q for %s, %v", code, left, err)
	}
	if _, _, err := Code(dir, "operator", time.Unix(59, 0)); errs.KindOf(err) != wire.NotFound || !strings.Contains(errs.UserText(err), "--dir") {
		t.Errorf("without a file: %v", err)
	}
	for _, name := range []string{"", "../samples/owner", "nobody"} {
		if _, _, err := Code(dir, name, time.Unix(59, 0)); errs.KindOf(err) != wire.NotFound {
			t.Errorf("%q: %v", name, err)
		}
	}
	if err := secret.WriteFile(file, []byte("!")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Code(dir, "owner", time.Unix(59, 0)); errs.KindOf(err) != wire.Invalid {
		t.Errorf("a file that holds no secret: %v", err)
	}
}
