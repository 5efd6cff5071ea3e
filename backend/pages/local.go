package pages

import (
	"net/http"
	"net/url"
	"path"
	"strings"
)

const maxReturn = 512

// localPath gives where to go on after a login: a path of this server, or "" for what could lead elsewhere, such as
// "//evil.example", "/\evil.example" or a whole URL, or back into logging in.
func localPath(text string) string {
	if len(text) == 0 || len(text) > maxReturn || text[0] != '/' || strings.HasPrefix(text, "//") {
		return ""
	}
	u, err := url.Parse(text)
	if err != nil || strings.ContainsFunc(text+u.Path, strange) || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" || u.Fragment != "" {
		return ""
	}
	if cleaned := path.Clean(u.Path); cleaned != u.Path || leads(cleaned, "/login") || leads(cleaned, "/logout") {
		return ""
	}
	return text
}

// strange is what some browser reads as something else than it is.
func strange(r rune) bool { return r <= ' ' || r == '\\' || r >= 0x7f }

func leads(to, within string) bool { return to == within || strings.HasPrefix(to, within+"/") }

// returnTo reads where to go on from a request; parameters that are not one local path are dropped.
func returnTo(r *http.Request) string {
	if r.Method == http.MethodPost {
		return localPath(r.PostForm.Get("to"))
	}
	return localPath(r.URL.Query().Get("to"))
}

// orHome is where to go on where nothing was asked.
func orHome(to string) string {
	if to == "" {
		return "/"
	}
	return to
}

// withTo is a path of ours that goes on to to.
func withTo(path, to string) string {
	if to == "" || to == "/" {
		return path
	}
	return path + "?" + url.Values{"to": {to}}.Encode()
}
