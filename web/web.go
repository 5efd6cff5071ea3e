// Package web has the templates, the stylesheet and the marks of the pages that people see.
//
// It promises that a page needs no script, loads nothing from elsewhere, and has no style or script within it, so that the
// strictest content security policy fits.
package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"strings"
)

//go:embed templates/*.html
var templates embed.FS

//go:embed static/*
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
	Path string
	Type string
	Body []byte
}

// Prefix is where assets are served.
const Prefix = "/static/"

var types = map[string]string{".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}

// Assets gives the assets by the names of their files.
func Assets() map[string]Asset {
	assets := map[string]Asset{}
	entries, _ := static.ReadDir("static") // embedded
	for _, entry := range entries {
		name := entry.Name()
		body, _ := static.ReadFile("static/" + name)
		sum := sha256.Sum256(body)
		extension := path.Ext(name)
		assets[name] = Asset{
			Path: Prefix + strings.TrimSuffix(name, extension) + "-" + hex.EncodeToString(sum[:6]) + extension,
			Type: types[extension], Body: body,
		}
	}
	return assets
}
