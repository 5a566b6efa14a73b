package controller

import (
	"cmp"
	"fmt"
	"slices"
)

// rackedBroker is a broker that replicas can be assigned to.
type rackedBroker struct {
	id   int32
	rack string // empty: none
}

// assignReplicas spreads count partitions over brokers, replicas each, beginning
// with partition number first.
//
// First replicas go round the list of brokers from start; the others follow at a
// distance that begins with shift and grows with each round, so that the
// followers of one broker's partitions are spread over all others. With racks
// the list alternates between them, and a replica goes to a rack that has none
// yet, as long as there is one.
func assignReplicas(brokers []rackedBroker, count, replicas, first, start, shift int) (map[int32][]int32, *adminError) {
	switch {
	case count <= 0:
		return nil, adminErrorf(errInvalidPartitions, "Number of partitions must be larger than 0.")
	case replicas <= 0:
		return nil, adminErrorf(errInvalidReplicationFactor, "Replication factor must be larger than 0.")
	case replicas > len(brokers):
		return nil, adminErrorf(errInvalidReplicationFactor, "Replication factor: %d larger than available brokers: %d.", replicas, len(brokers))
	}
	list, racks := alternateRacks(brokers)
	out := make(map[int32][]int32, count)
	for p := first; p < first+count; p++ {
		if p > 0 && p%len(list) == 0 {
			shift++
		}
		out[int32(p)] = assignOne(list, racks, replicas, (p+start)%len(list), shift)
	}
	return out, nil
}

// assignOne chooses the brokers of one partition.
func assignOne(list []rackedBroker, racks, replicas, first, shift int) []int32 {
	out := []int32{list[first].id}
	usedRacks := map[string]bool{list[first].rack: true}
	for k := 0; len(out) < replicas; k++ {
		b := list[followerIndex(first, shift*racks, k, len(list))]
		rackFree := !usedRacks[b.rack] || len(usedRacks) == racks
		if !rackFree || slices.Contains(out, b.id) {
			continue
		}
		out = append(out, b.id)
		usedRacks[b.rack] = true
	}
	return out
}

func followerIndex(first, shift, k, n int) int {
	return (first + 1 + (shift+k)%(n-1)) % n
}

// alternateRacks orders brokers so that racks take turns, and counts the racks.
// Where not every broker has one, racks are ignored.
func alternateRacks(brokers []rackedBroker) (list []rackedBroker, racks int) {
	list = slices.Clone(brokers)
	slices.SortFunc(list, func(a, b rackedBroker) int { return cmp.Compare(a.id, b.id) })
	if slices.ContainsFunc(list, func(b rackedBroker) bool { return b.rack == "" }) {
		for i := range list {
			list[i].rack = ""
		}
		return list, 1
	}
	byRack := map[string][]rackedBroker{}
	for _, b := range list {
		byRack[b.rack] = append(byRack[b.rack], b)
	}
	names := sortedNames(byRack)
	list = list[:0]
	for turn := 0; len(list) < len(brokers); turn++ {
		for _, name := range names {
			if turn < len(byRack[name]) {
				list = append(list, byRack[name][turn])
			}
		}
	}
	return list, len(names)
}

// adminError is a refusal: a code of Kafka's protocol and a text for the client.
type adminError struct {
	code    int16
	message string
}

func adminErrorf(code int16, format string, args ...any) *adminError {
	return &adminError{code, fmt.Sprintf(format, args...)}
}
