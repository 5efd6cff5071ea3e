package browser

import (
	"html/template"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gorilla/websocket"
)

// page talks with its server by a WebSocket, and has a form.
var page = template.Must(template.New("page").Parse(`<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Press</title><link rel="icon" href="data:,"></head><body>
<h1>Press</h1><p>sent: {{.}}</p><p id="socket"></p>
<form method="post" action="/send"><input type="hidden" name="word" value="a word"><button>Send</button></form>
<script>
const shown = document.getElementById('socket');
const socket = new WebSocket('wss://' + location.host + '/ws');
socket.onopen = () => socket.send('hello');
socket.onmessage = (e) => { shown.textContent = 'answers: ' + e.data; };
socket.onclose = () => { shown.textContent = 'ended'; };
</script></body></html>`))

// elsewhere is a site that is none of ours.
func elsewhere(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(`<!doctype html><title>Elsewhere</title><link rel="icon" href="data:,"><h1>Elsewhere</h1>`))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// worker is a service worker that keeps the addresses it is asked for.
func worker(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/javascript")
	w.Header().Set("Service-Worker-Allowed", "/")
	_, _ = w.Write([]byte(`onfetch = () => {};`))
}

// application is what a device might show to who stands beside it. From /away it leads to another site.
func application(t *testing.T, away string) string {
	t.Helper()
	var up websocket.Upgrader // it wants the origin of its own host
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "own", Value: "of-the-app", Path: "/"})
		http.Redirect(w, r, "/home", http.StatusFound)
	})
	show := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = page.Execute(w, r.PostFormValue("word")) // who has gone needs no answer
	}
	mux.HandleFunc("GET /home", show)
	mux.HandleFunc("POST /send", show)
	mux.Handle("GET /away", http.RedirectHandler(away, http.StatusFound))
	mux.HandleFunc("GET /worker.js", worker)
	mux.HandleFunc("GET /folder/worker.js", worker)
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer ws.Close()
		for kind, text, err := ws.ReadMessage(); err == nil; kind, text, err = ws.ReadMessage() {
			_ = ws.WriteMessage(kind, text) // the next read tells
		}
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}
