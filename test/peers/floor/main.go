// Command floor is the least that a router can cost: it copies one encoded frame to every subscriber with gathered writes
// and does nothing else. There are no realms, no rules and one topic.
//
// It promises to speak enough WAMP that the load generator cannot tell it from a router, and to do no work that a router
// could avoid.
package main

import (
	"fmt"
	"net/http"
	"os"

	"github.com/gorilla/websocket"

	"bulkhead/test/peers/internal/frame"
	"bulkhead/test/peers/internal/scene"
)

func main() {
	flags := scene.ReadFlags()
	h, err := newHub()
	if err == nil {
		err = scene.Serve(flags, h)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// ServeHTTP upgrades a connection and serves it until it ends.
func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	upgrader := websocket.Upgrader{Subprotocols: subprotocols()}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the upgrader has answered
	}
	defer ws.Close()
	s, ok := frame.FromSubprotocol(ws.Subprotocol())
	if !ok {
		return
	}
	h.serve(ws, s)
}

func subprotocols() (names []string) {
	for s := range frame.Serializer(frame.Serializers) {
		names = append(names, s.Subprotocol())
	}
	return names
}
