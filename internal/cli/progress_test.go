package cli

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestWhatTakesLongShowsABarAndTakesItAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var shown bytes.Buffer
		p := &progress{to: &shown, what: "log 7", begun: time.Now()}
		p.show(100, 1000)
		p.end()
		if shown.Len() > 0 {
			t.Errorf("what is done soon shows %q", &shown)
		}
		time.Sleep(progressAfter)
		p.show(500, 1000)
		p.show(501, 1000) // too soon to be read
		if text := shown.String(); !strings.Contains(text, "log 7 ["+strings.Repeat("#", 15)+strings.Repeat(" ", 15)+"] 500 of 1000 entries") || strings.Contains(text, "501") {
			t.Errorf("%q", text)
		}
		p.end()
		if !strings.HasSuffix(shown.String(), "\r\x1b[K") {
			t.Errorf("the bar stays: %q", &shown)
		}
		off := &progress{what: "log 7", begun: time.Now().Add(-time.Hour)} // off a terminal there is none
		off.show(1, 2)
		off.end()
	})
}
