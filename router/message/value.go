package message

// any decodes the next value to the types that Dict promises.
func (r *reader) any() any {
	t := r.value().common()
	if !r.charge(t) {
		return nil
	}
	switch t.kind {
	case kindBool:
		return t.num != 0
	case kindUint:
		return t.num
	case kindInt:
		return int64(t.num)
	case kindFloat:
		return t.float()
	case kindText:
		return t.text
	case kindBinary:
		return []byte(t.text)
	case kindList:
		return r.anyList(r.in(t))
	case kindDict:
		return r.anyDict(r.in(t))
	}
	return nil
}

func (r *reader) anyList(q seq) []any {
	list := make([]any, 0, q.room())
	for r.more(&q) {
		list = append(list, r.any())
	}
	return list
}

func (r *reader) anyDict(q seq) Dict {
	dict := make(Dict, q.room())
	for r.more(&q) {
		key := r.key(&q)
		r.weight += entryWeight
		dict[key] = r.any()
	}
	return dict
}

// room is how many elements to make room for; a header is not believed beyond a few.
func (q seq) room() int {
	if q.left == untold {
		return 0
	}
	return int(min(q.left, 16))
}

// common gives a token that every serializer has.
func (t token) common() token {
	switch {
	case t.kind == kindExt:
		return t.plain()
	case t.kind == kindBinary && t.tag != 0:
		return t.bignum()
	}
	return t
}

// transcode appends the value s, which is encoded in from.
func (w *writer) transcode(from Format, s string) {
	r := reader{f: from, s: s, depth: 1} // as if inside a message
	w.depth = max(w.depth, 1)
	w.copy(&r)
	if r.err != nil {
		w.fail(r.err)
	}
}

// copy appends the next value of r.
func (w *writer) copy(r *reader) {
	t := r.value().common()
	switch t.kind {
	case kindNull:
		w.null()
	case kindBool:
		w.bool(t.num != 0)
	case kindUint:
		w.uint(t.num)
	case kindInt:
		w.int(int64(t.num))
	case kindFloat:
		w.float(t.float())
	case kindText:
		w.text(t.text)
	case kindBinary:
		w.binary(t.text)
	case kindList, kindDict:
		w.copySeq(r, r.in(t))
	}
}

func (w *writer) copySeq(r *reader, q seq) {
	mark, n := w.open(q.dict), 0
	for ; r.more(&q); n++ {
		if q.dict {
			w.key(r.key(&q))
		}
		w.copy(r)
	}
	w.close(mark, q.dict, n)
}
