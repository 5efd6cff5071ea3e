package pages

import "strings"

// The words by which browsers and systems name themselves, the more special first: each browser also names those before it.
var (
	browsers = []struct{ word, name string }{
		{"Edg/", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"Chromium/", "Chromium"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"},
	}
	systems = []struct{ word, name string }{
		{"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Windows", "Windows"}, {"Mac OS X", "macOS"}, {"CrOS", "ChromeOS"}, {"Linux", "Linux"},
	}
)

// program tells in a few words what a client says of itself. It proves nothing.
func program(agent string) string {
	browser, system := "", ""
	for _, b := range browsers {
		if strings.Contains(agent, b.word) {
			browser = b.name
			break
		}
	}
	for _, s := range systems {
		if strings.Contains(agent, s.word) {
			system = s.name
			break
		}
	}
	switch {
	case browser != "" && system != "":
		return browser + " on " + system
	case browser != "":
		return browser
	case agent == "":
		return "A program that gives no name"
	}
	const most = 80
	if runes := []rune(agent); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return agent
}
