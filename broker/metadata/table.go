package metadata

import (
	"slices"
	"strings"
)

// Table is a set of keys. It is immutable.
type Table struct {
	keys   []Key // ascending by name
	byName map[string]*Key
}

func newTable(groups ...[]Key) *Table {
	t := &Table{keys: slices.Concat(groups...)}
	slices.SortFunc(t.keys, func(a, b Key) int { return strings.Compare(a.Name, b.Name) })
	t.byName = make(map[string]*Key, len(t.keys))
	for i := range t.keys {
		if t.byName[t.keys[i].Name] != nil {
			panic("metadata: key " + t.keys[i].Name + " is defined twice")
		}
		t.byName[t.keys[i].Name] = &t.keys[i]
	}
	return t
}

// Keys are all keys in ascending order of their names; not to be changed.
func (t *Table) Keys() []Key { return t.keys }

// Key finds a key.
func (t *Table) Key(name string) (*Key, bool) {
	k, ok := t.byName[name]
	return k, ok
}

// Nearest is the known key whose name is most like name, or "" when none is
// close.
func (t *Table) Nearest(name string) string {
	best, bestDistance := "", max(2, len(name)/4)+1
	for i := range t.keys {
		if d := distance(name, t.keys[i].Name, bestDistance); d < bestDistance {
			best, bestDistance = t.keys[i].Name, d
		}
	}
	return best
}

// distance is the number of edits (insert, delete, replace, swap) between two
// strings, or limit when it is at least that.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	var before, above []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, above = above, row
		row = make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return min(row[len(b)], limit)
}

// newKey builds a row of a table. def is the default, or null.
func newKey(scope Scope, name string, t Type, def string, check Validator, imp Importance, doc string) Key {
	k := Key{Name: name, Type: t, Check: check, Importance: imp, Scope: scope, Doc: doc}
	if def != null {
		k.Default = &def
	}
	return k
}

// null stands in the tables for a default that is no value.
const null = "\x00"

func readOnly(name string, t Type, def string, check Validator, imp Importance, doc string) Key {
	return newKey(ReadOnly, name, t, def, check, imp, doc)
}

func perBroker(name string, t Type, def string, check Validator, imp Importance, doc string) Key {
	return newKey(PerBroker, name, t, def, check, imp, doc)
}

func clusterWide(name string, t Type, def string, check Validator, imp Importance, doc string) Key {
	return newKey(ClusterWide, name, t, def, check, imp, doc)
}

// onlySet hides a key where it is not set, as Kafka does with what limits
// replication.
func onlySet(k Key) Key {
	k.OnlySet = true
	return k
}

// topicKey builds a row of the topic table.
func topicKey(name string, t Type, def string, check Validator, imp Importance, synonym, doc string) Key {
	k := newKey(ClusterWide, name, t, def, check, imp, doc)
	k.Synonym = synonym
	return k
}

// listenerKey takes the prefix listener.name.<listener>. off a key.
func listenerKey(name string) (base string, ok bool) {
	rest, ok := strings.CutPrefix(name, "listener.name.")
	if !ok {
		return name, false
	}
	_, base, ok = strings.Cut(rest, ".")
	if !ok {
		return name, false
	}
	return base, true
}

// mechanismKeys are set as listener.name.<listener>.<mechanism>.<key>.
func mechanismKeys() []string {
	return []string{
		"sasl.jaas.config", "sasl.login.callback.handler.class", "sasl.login.class",
		"sasl.server.callback.handler.class", "connections.max.reauth.ms",
	}
}

// synonyms are the names under which a broker key may be set, the strongest
// first.
func synonyms(name string) []string {
	switch name {
	case "log.roll.ms", "log.roll.hours":
		return []string{"log.roll.ms", "log.roll.hours"}
	case "log.roll.jitter.ms", "log.roll.jitter.hours":
		return []string{"log.roll.jitter.ms", "log.roll.jitter.hours"}
	case "log.flush.interval.ms":
		return []string{"log.flush.interval.ms", "log.flush.scheduler.interval.ms"}
	case "log.retention.ms", "log.retention.minutes", "log.retention.hours":
		return []string{"log.retention.ms", "log.retention.minutes", "log.retention.hours"}
	}
	base, ok := listenerKey(name)
	if !ok {
		return []string{name}
	}
	for _, m := range mechanismKeys() {
		if strings.HasSuffix(base, m) {
			base = m
		}
	}
	return []string{name, base}
}
