package account

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestAFloodOfMadeUpIdsHasFewOfTheDatabasesConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		answer := make(chan struct{})
		c := newCache(func(context.Context, string) (int, error) {
			asked.Add(1)
			<-answer
			return 1, nil
		}, time.Now)
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				if _, err := c.record(t.Context(), strconv.Itoa(i)); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if n := asked.Load(); n != lookupsAtOnce {
			t.Errorf("%d look-ups at once", n)
		}
		close(answer)
		all.Wait()
		if n := asked.Load(); n != 100 {
			t.Errorf("%d were looked up in the end", n)
		}
	})
}
