package transport

// Await waits until Receive has something to begin with; after an error there is nothing to receive. It needs little of the
// stack, so that the goroutine of a session that has not sent anything keeps the one that it began with: growing it costs more
// than many a step of joining does, and what has grown stays.
func (l *Link) Await() error {
	if l.scratch != nil {
		return nil
	}
	return l.in.fill()
}
