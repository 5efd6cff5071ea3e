package devicegrant

import "strings"

const maxName = 64

// tame keeps what a program says of itself from being more than a name.
func (f From) tame() From {
	return From{Address: f.Address, Host: name(f.Host), Client: name(f.Client)}
}

func name(text string) string {
	text = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, text)
	if len(text) > maxName {
		text = text[:maxName]
	}
	return text
}
