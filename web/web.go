// Package web has the templates, the stylesheets and the marks of the pages that people see.
//
// It promises that no page but the terminal needs a script, that none loads anything from elsewhere, and that none has a
// style or script within it, so that a strict content security policy fits. What stands in xterm/ is other people's, as
// they publish it; its README.md says which and how to renew it.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"strings"
	"sync"
)

//go:embed templates/*.html
var templates embed.FS

//go:embed static/* xterm/*.js xterm/*.css
var static embed.FS

// Pages parses every page within the layout that all share. The name of a page is that of its file without ".html".
func Pages(functions template.FuncMap) (map[string]*template.Template, error) {
	shared, err := template.New("").Option("missingkey=error").Funcs(functions).ParseFS(templates, "templates/_*.html")
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	files, err := fs.Glob(templates, "templates/[a-z]*.html")
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	pages := map[string]*template.Template{}
	for _, file := range files {
		page, err := template.Must(shared.Clone()).ParseFS(templates, file) // Clone fails only after an execution
		if err != nil {
			return nil, fmt.Errorf("web: %w", err)
		}
		pages[strings.TrimSuffix(path.Base(file), ".html")] = page
	}
	return pages, nil
}

// Asset is a file that pages refer to. Its path has a hash of what is in it, so it may be kept for ever.
type Asset struct {
	Path   string
	Type   string
	Body   []byte
	Packed []byte // Body by gzip; nil where that is hardly smaller
}

// Prefix is where assets are served.
const Prefix = "/static/"

var types = map[string]string{".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".js": "text/javascript; charset=utf-8"}

// Assets gives the assets by the names of their files.
func Assets() map[string]Asset { return assets() }

var assets = sync.OnceValue(func() map[string]Asset {
	assets := map[string]Asset{}
	for _, folder := range []string{"static", "xterm"} {
		entries, _ := static.ReadDir(folder) // embedded
		for _, entry := range entries {
			body, _ := static.ReadFile(folder + "/" + entry.Name())
			assets[entry.Name()] = assetOf(entry.Name(), body)
		}
	}
	return assets
})

func assetOf(name string, body []byte) Asset {
	sum := sha256.Sum256(body)
	extension := path.Ext(name)
	return Asset{
		Path: Prefix + strings.TrimSuffix(name, extension) + "-" + hex.EncodeToString(sum[:6]) + extension,
		Type: types[extension], Body: body, Packed: packed(body),
	}
}

func packed(body []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(body) // a buffer takes all
	_ = w.Close()
	if out.Len() > len(body)*9/10 {
		return nil
	}
	return out.Bytes()
}
