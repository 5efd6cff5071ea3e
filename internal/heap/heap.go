// Package heap sets how much garbage a server lets lie before it collects it.
//
// It promises that collections are no more frequent than one for each so many bytes that were allocated, however little is in
// use, and that what the operator sets by GOGC is left alone.
package heap

import (
	"os"
	"runtime"
	"sync"
)

// Spare is how many bytes a server may allocate between two collections, beside as many as are in use. Go's own default,
// 4 MiB when little is in use, makes a router collect hundreds of times a second.
const Spare = 16 << 20

// spare is never touched, so the system gives it no memory; the collector counts it as in use, and waits for as much again.
var spare []byte

var once sync.Once

// Reserve makes the collector wait for so many bytes of garbage. Only the first call in a process has an effect.
func Reserve(bytes int) {
	if os.Getenv("GOGC") != "" {
		return
	}
	once.Do(func() {
		spare = make([]byte, bytes)
		runtime.KeepAlive(spare)
	})
}
