package web_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"html/template"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"bulkhead/web"
)

func functions() template.FuncMap {
	return template.FuncMap{
		"asset": func(name string) string { return web.Assets()[name].Path }, "machine": time.Time.String, "human": time.Time.String,
	}
}

func TestEveryPageParsesWithinTheLayout(t *testing.T) {
	t.Parallel()
	pages, err := web.Pages(functions())
	if err != nil {
		t.Fatal(err)
	}
	if len(pages) < 15 {
		t.Errorf("%d pages only", len(pages))
	}
	for name, page := range pages {
		if page.Lookup("layout") == nil || page.Lookup("content") == nil {
			t.Errorf("%s: has no layout or no content", name)
		}
	}
}

// inline is what a strict policy would block, and what would load from elsewhere.
var inline = regexp.MustCompile(`(?i)<script|<style|\sstyle=|\son[a-z]+=|javascript:|https?://|(src|href)="//`)

func TestNoTemplateHasScriptOrStyleWithinOrLoadsFromElsewhere(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(os.DirFS("."), "templates/*.html")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		own := strings.ReplaceAll(string(text), `<script src="{{asset `, "") // a file of ours, of which the terminal has some
		if found := inline.FindAllString(own, -1); found != nil {
			t.Errorf("%s: %q", file, found)
		}
	}
}

func TestEveryFieldOfAFormHasALabel(t *testing.T) {
	t.Parallel()
	field := regexp.MustCompile(`<(?:input|select)[^>]*>`)
	id := regexp.MustCompile(`\sid="([^"]+)"`)
	files, _ := fs.Glob(os.DirFS("."), "templates/*.html")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range field.FindAllString(string(text), -1) {
			if strings.Contains(f, `type="hidden"`) || strings.Contains(f, `type="checkbox"`) { // a checkbox stands within its label
				continue
			}
			found := id.FindStringSubmatch(f)
			if found == nil || !strings.Contains(string(text), `<label for="`+found[1]+`">`) {
				t.Errorf("%s: %s has no label", file, f)
			}
		}
	}
}

func TestTheStylesheetLoadsNothingAndKnowsLightAndDark(t *testing.T) {
	t.Parallel()
	sheet := string(web.Assets()["bulkhead.css"].Body)
	if strings.Contains(sheet, "url(") || strings.Contains(sheet, "@import") {
		t.Error("it loads something")
	}
	if !strings.Contains(sheet, "prefers-color-scheme: dark") || len(sheet) > 24<<10 {
		t.Errorf("no dark form, or %d bytes", len(sheet))
	}
}

func TestOnlyTheTerminalNeedsAScript(t *testing.T) {
	t.Parallel()
	files, _ := fs.Glob(os.DirFS("."), "templates/*.html")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if has := strings.Contains(string(text), "<script"); has != (file == "templates/terminal.html") {
			t.Errorf("%s: has a script: %v", file, has)
		}
	}
}

// published are the files of others, with the hashes of what npm serves: @xterm/xterm 6.0.0 and @xterm/addon-fit 0.11.0.
var published = map[string]string{
	"xterm/xterm.js":    "14903579ff54664cd72f8e8699e6961a6272c21863ec1c3b118cdc8af5d4a972",
	"xterm/xterm.css":   "854a7c0fb70e8b1a083c16797ab827299fb18744f5ad34f227b48337e33293c6",
	"xterm/fit.js":      "ba3ea256ce0620a0992a197d6c9baea64823fc93d8da07a9e366ca9943c18527",
	"xterm/LICENSE":     "b569f629d00f2626a8100df2a1798210535621e42164dfd426a6fe5aac7b0ccd",
	"xterm/LICENSE.fit": "e256f01188af527e4d06d21d06fbf785ae9c50d4b328bf03cbe0ba7f0aa4228f",
}

func TestWhatIsOthersIsAsTheyPublishIt(t *testing.T) {
	t.Parallel()
	for file, want := range published {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(text); hex.EncodeToString(sum[:]) != want {
			t.Errorf("%s is %x", file, sum)
		}
	}
}

func TestWhatIsPackedIsTheSame(t *testing.T) {
	t.Parallel()
	for name, a := range web.Assets() {
		if a.Packed == nil {
			continue
		}
		r, err := gzip.NewReader(bytes.NewReader(a.Packed))
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(r); err != nil || !bytes.Equal(body, a.Body) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if a := web.Assets()["xterm.js"]; len(a.Packed) == 0 || len(a.Packed) > len(a.Body)/3 {
		t.Errorf("the largest is packed to %d of %d bytes", len(a.Packed), len(a.Body))
	}
}

func TestThePathOfAnAssetTellsWhatIsInIt(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^/static/[a-z]+-[0-9a-f]{12}\.(css|svg|js)$`)
	for name, a := range web.Assets() {
		if !form.MatchString(a.Path) || a.Type == "" || len(a.Body) == 0 {
			t.Errorf("%s: %q %q", name, a.Path, a.Type)
		}
	}
}
