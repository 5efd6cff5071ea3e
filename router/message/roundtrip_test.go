package message

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// byMeaning compares messages by what they mean: payloads by their decoded arguments.
var byMeaning = cmp.Options{
	cmp.Comparer(func(a, b Payload) bool {
		argsA, kwargsA, errA := a.Decode()
		argsB, kwargsB, errB := b.Decode()
		return errA == nil && errB == nil && (a.kwargs == "") == (b.kwargs == "") &&
			cmp.Equal(argsA, argsB, cmpopts.EquateEmpty(), cmpopts.EquateNaNs()) &&
			cmp.Equal(kwargsA, kwargsB, cmpopts.EquateEmpty(), cmpopts.EquateNaNs())
	}),
	cmpopts.EquateNaNs(),
}

func TestAMessageComesOutAsItWentIn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := aMessage().Draw(t, "message")
		for _, f := range formats {
			frame, err := Append(nil, f, m)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Decode(f, frame)
			if err != nil {
				t.Fatalf("%s: %v in %q", f, err, frame)
			}
			if diff := cmp.Diff(m, got, byMeaning); diff != "" {
				t.Fatalf("%s: (-in +out)\n%s", f, diff)
			}
			again, err := Append(nil, f, got)
			if err != nil || !bytes.Equal(again, frame) {
				t.Fatalf("%s: a second time it is %q, then %q, %v", f, frame, again, err)
			}
		}
	})
}

func TestAPayloadSurvivesEveryJourneyThroughTheSerializers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := aPayload().Draw(t, "payload")
		start := p
		for _, f := range rapid.SliceOfN(rapid.SampledFrom(formats), 1, 6).Draw(t, "journey") {
			var err error
			if p, err = p.In(f); err != nil {
				t.Fatal(err)
			}
			if !p.IsZero() && p.Format() != f {
				t.Fatalf("asked for %s, got %s", f, p.Format())
			}
		}
		if !cmp.Equal(start, p, byMeaning) {
			t.Fatalf("%q %q became %q %q", start.args, start.kwargs, p.args, p.kwargs)
		}
	})
}

func TestBatchesComeApartIntoTheirMessages(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.SampledFrom(formats).Draw(t, "format")
		messages := rapid.SliceOfN(aMessage(), 1, 5).Draw(t, "messages")
		var batch []byte
		var err error
		for _, m := range messages {
			if batch, err = AppendBatched(batch, f, m); err != nil {
				t.Fatal(err)
			}
		}
		for i, want := range messages {
			var frame []byte
			if frame, batch, err = Split(f, batch); err != nil {
				t.Fatal(err)
			}
			got, err := Decode(f, frame)
			if err != nil || !cmp.Equal(want, got, byMeaning) {
				t.Fatalf("message %d: got %+v, %v, want %+v", i, got, err, want)
			}
		}
		if len(batch) != 0 {
			t.Fatalf("%q is left", batch)
		}
	})
}
