package runtime

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/google/uuid"
	"github.com/leatstream/leat/streams/processor"
	"pgregory.net/rapid"
)

func ids(subs, partitions int) (out []processor.TaskID) {
	for p := range partitions {
		for s := range subs {
			out = append(out, processor.TaskID{Sub: s, Partition: int32(p)})
		}
	}
	return out
}

func set(list []processor.TaskID) map[processor.TaskID]bool {
	out := map[processor.TaskID]bool{}
	for _, t := range list {
		out[t] = true
	}
	return out
}

// TestAssignmentProperties: every task once, numbers differ by one at most,
// and nobody loses a task which the balance would let it keep.
func TestAssignmentProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tasks := ids(rapid.IntRange(1, 3).Draw(t, "subs"), rapid.IntRange(1, 12).Draw(t, "partitions"))
		members := make([]member, rapid.IntRange(1, 7).Draw(t, "members"))
		for i := range members {
			members[i] = member{id: fmt.Sprint(i), process: uuid.UUID{byte(i / 2)}, owned: map[processor.TaskID]bool{}, local: map[processor.TaskID]bool{}}
		}
		for _, task := range tasks {
			if owner := rapid.IntRange(-1, len(members)-1).Draw(t, "owner"); owner >= 0 {
				members[owner].owned[task] = true
			}
		}
		assign(members, tasks)
		seen := map[processor.TaskID]int{}
		least, most := len(tasks), 0
		for _, m := range members {
			least, most = min(least, len(m.tasks)), max(most, len(m.tasks))
			for _, task := range m.tasks {
				seen[task]++
			}
		}
		if len(seen) != len(tasks) || most-least > 1 {
			t.Fatalf("%d of %d tasks assigned, between %d and %d each", len(seen), len(tasks), least, most)
		}
		for _, m := range members {
			kept := 0
			for _, task := range m.tasks {
				if seen[task] != 1 {
					t.Fatalf("task %v is assigned %d times", task, seen[task])
				}
				if m.owned[task] {
					kept++
				}
			}
			if floor := len(tasks) / len(members); kept < min(len(m.owned), floor) {
				t.Fatalf("member %s keeps %d of %d, the balance allows %d", m.id, kept, len(m.owned), floor)
			}
		}
	})
}

func TestTasksGoWhereTheirStateIs(t *testing.T) {
	tasks := ids(1, 4)
	members := []member{
		{id: "a", process: uuid.UUID{1}, local: set(tasks[2:])},
		{id: "b", process: uuid.UUID{2}, local: set(tasks[:2])},
	}
	assign(members, tasks)
	if !reflect.DeepEqual(members[0].tasks, tasks[2:]) || !reflect.DeepEqual(members[1].tasks, tasks[:2]) {
		t.Errorf("a has %v, b has %v", members[0].tasks, members[1].tasks)
	}
}

func FuzzUserData(f *testing.F) {
	f.Add(userData{uuid.New(), ids(2, 3)}.encode())
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		u, ok := decodeUserData(b)
		if !ok {
			return
		}
		again, ok := decodeUserData(u.encode())
		if !ok || !reflect.DeepEqual(u, again) {
			t.Errorf("%v became %v", u, again)
		}
	})
}
