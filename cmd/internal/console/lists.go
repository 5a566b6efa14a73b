package console

import (
	"cmp"

	"github.com/leatstream/leat/cmd/internal/admin"
)

// topicRow is a topic with its rates per second.
type topicRow struct {
	Topic       admin.Topic
	Rate, Bytes float64
}

func topicRows(snap *snapshot, v view, internal bool) []topicRow {
	rows := []topicRow{}
	for _, t := range snap.topics {
		if (internal || !t.Internal) && v.matches(t.Name) {
			rows = append(rows, topicRow{t, snap.recent[topicKey(t.Name)], snap.recent[topicBytesKey(t.Name)]})
		}
	}
	sortRows(rows, v, map[string]func(a, b topicRow) int{
		"topic":      func(a, b topicRow) int { return cmp.Compare(a.Topic.Name, b.Topic.Name) },
		"partitions": func(a, b topicRow) int { return cmp.Compare(a.Topic.Partitions, b.Topic.Partitions) },
		"records":    func(a, b topicRow) int { return cmp.Compare(a.Topic.Records, b.Topic.Records) },
		"size":       func(a, b topicRow) int { return cmp.Compare(a.Topic.SizeBytes, b.Topic.SizeBytes) },
		"rate":       func(a, b topicRow) int { return cmp.Compare(a.Rate, b.Rate) },
	})
	return rows
}

// groupRow is a group with the pace at which it reads.
type groupRow struct {
	Group admin.Group
	Pace  float64 // records per second
	Time  string  // the lag as time
}

func groupRows(snap *snapshot, v view) []groupRow {
	rows := []groupRow{}
	for _, g := range snap.groups {
		if !v.matches(g.Group, g.State) {
			continue
		}
		row := groupRow{Group: g, Pace: snap.recent[groupKey(g.Group)]}
		if g.Lag != nil {
			row.Time = lagTime(*g.Lag, row.Pace)
		}
		rows = append(rows, row)
	}
	sortRows(rows, v, map[string]func(a, b groupRow) int{
		"group":   func(a, b groupRow) int { return cmp.Compare(a.Group.Group, b.Group.Group) },
		"state":   func(a, b groupRow) int { return cmp.Compare(a.Group.State, b.Group.State) },
		"members": func(a, b groupRow) int { return cmp.Compare(known(a.Group.Members), known(b.Group.Members)) },
		"lag":     func(a, b groupRow) int { return cmp.Compare(known(a.Group.Lag), known(b.Group.Lag)) },
		"pace":    func(a, b groupRow) int { return cmp.Compare(a.Pace, b.Pace) },
	})
	return rows
}

// known is what p points to, or -1.
func known[T int | int64](p *T) T {
	if p == nil {
		return -1
	}
	return *p
}

func fileRows(snap *snapshot, v view) []admin.File {
	rows := []admin.File{}
	for _, f := range snap.files {
		if v.matches(f.Path) {
			rows = append(rows, f)
		}
	}
	sortRows(rows, v, map[string]func(a, b admin.File) int{
		"file":     func(a, b admin.File) int { return cmp.Compare(a.Path, b.Path) },
		"rows":     func(a, b admin.File) int { return cmp.Compare(a.Rows, b.Rows) },
		"size":     func(a, b admin.File) int { return cmp.Compare(a.SizeBytes, b.SizeBytes) },
		"modified": func(a, b admin.File) int { return a.Modified.Compare(b.Modified) },
	})
	return rows
}
