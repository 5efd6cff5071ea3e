package web_test

import (
	"html/template"
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
		if found := inline.FindAllString(string(text), -1); found != nil {
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

func TestThePathOfAnAssetTellsWhatIsInIt(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^/static/[a-z]+-[0-9a-f]{12}\.(css|svg)$`)
	for name, a := range web.Assets() {
		if !form.MatchString(a.Path) || a.Type == "" || len(a.Body) == 0 {
			t.Errorf("%s: %q %q", name, a.Path, a.Type)
		}
	}
}
