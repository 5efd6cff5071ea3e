package password

import "slices"

// waiter is one who waits. What others set of it is final once called is closed.
type waiter struct {
	name    string
	rank    Rank // changes with mu of the line held
	still   func() Rank
	called  chan struct{}
	dropped bool
	rests   bool // when it leaves there is a rest
}

// queue has a line for each name, which are served in turns. When it is full, the last one of the longest line gives way.
type queue struct {
	most  int
	size  int
	lines map[string][]*waiter
	turns []string // names with a line, the next one first
}

func newQueue(most int) queue { return queue{most: most, lines: map[string][]*waiter{}} }

func (q *queue) push(w *waiter) bool {
	if q.size >= q.most && !q.drop(len(q.lines[w.name])+1) {
		return false
	}
	if len(q.lines[w.name]) == 0 {
		q.turns = append(q.turns, w.name)
	}
	q.lines[w.name] = append(q.lines[w.name], w)
	q.size++
	return true
}

// drop takes the last one off the longest line, where that is longer than length.
func (q *queue) drop(length int) bool {
	longest := ""
	for name, line := range q.lines {
		if len(line) > length {
			longest, length = name, len(line)
		}
	}
	line := q.lines[longest]
	if len(line) == 0 || len(line) < length {
		return false
	}
	last := line[len(line)-1]
	q.remove(last)
	last.dropped = true
	close(last.called)
	return true
}

func (q *queue) pop() *waiter {
	if len(q.turns) == 0 {
		return nil
	}
	name := q.turns[0]
	w := q.lines[name][0]
	q.remove(w)
	if len(q.lines[name]) > 0 { // to the end of the turns
		q.turns = append(slices.DeleteFunc(q.turns, func(n string) bool { return n == name }), name)
	}
	return w
}

func (q *queue) remove(w *waiter) bool {
	at := slices.Index(q.lines[w.name], w)
	if at < 0 {
		return false
	}
	q.lines[w.name] = slices.Delete(q.lines[w.name], at, at+1)
	q.size--
	if len(q.lines[w.name]) == 0 {
		delete(q.lines, w.name)
		q.turns = slices.DeleteFunc(q.turns, func(n string) bool { return n == w.name })
	}
	return true
}
