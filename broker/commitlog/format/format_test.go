package format

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/record"
)

var now = time.UnixMilli(1_700_000_000_000)

func TestCheckpointFormats(t *testing.T) {
	o := Offsets{{Topic: "b", Partition: 1}: 7, {Topic: "a", Partition: 0}: 9}
	data := o.Encode()
	if string(data) != "0\n2\na 0 9\nb 1 7\n" {
		t.Fatalf("%q", data)
	}
	got, err := DecodeOffsets(data)
	if err != nil || len(got) != 2 || got[record.TopicPartition{Topic: "b", Partition: 1}] != 7 {
		t.Fatalf("%v %v", got, err)
	}
	if empty, err := DecodeOffsets(nil); err != nil || len(empty) != 0 {
		t.Errorf("an empty file, as Kafka makes it at its first start: %v %v", empty, err)
	}
	for _, bad := range []string{"\n", "0", "1\n0\n", "0\n2\na 0 9\n", "0\n1\na 0\n", "0\n1\na x 9\n", "0\n-1\n"} {
		if _, err := DecodeOffsets([]byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if s := string(EncodeTopicID([16]byte{1})); s != "version: 0\ntopic_id: AQAAAAAAAAAAAAAAAAAAAA" {
		t.Errorf("%q", s)
	}
	want := "#\n#Tue Nov 14 22:13:20 UTC 2023\nbroker.id=4\ncluster.id=abc\nversion=0\n"
	if s := string(MetaProperties{BrokerID: 4, ClusterID: "abc"}.Encode(now)); s != want {
		t.Errorf("%q", s)
	}
}

func TestParseFolder(t *testing.T) {
	for name, want := range map[string]record.TopicPartition{
		"a-0": {Topic: "a"}, "a-b-12": {Topic: "a-b", Partition: 12},
		"a": {}, "-1": {}, "a-": {}, "a-01": {}, "a-+1": {}, "a-2147483648": {}, "a-0.5f-delete": {}, "": {},
	} {
		if tp, ok := ParseFolder(name); tp != want || ok != (want.Topic != "") {
			t.Errorf("%q: %v, %v", name, tp, ok)
		}
	}
}

func TestSegmentNames(t *testing.T) {
	for _, suffix := range []string{LogSuffix, IndexSuffix, TimeIndexSuffix, TxnIndexSuffix, SnapshotSuffix} {
		if base, s := SplitName(FileName(42, suffix)); base != 42 || s != suffix {
			t.Errorf("%s: %d, %q", suffix, base, s)
		}
	}
	for _, name := range []string{"", "42.log", "00000000000000000042.log.deleted", "00000000000000000042.tmp", "-0000000000000000042.log"} {
		if base, s := SplitName(name); s != "" {
			t.Errorf("%q: %d, %q", name, base, s)
		}
	}
}

func FuzzDecoders(f *testing.F) {
	f.Add(Offsets{{Topic: "a", Partition: 0}: 9}.Encode())
	f.Add(EncodeTopicID([16]byte{1}))
	f.Add(MetaProperties{BrokerID: 1}.Encode(now))
	f.Add(EncodeDamage([]DamagePlace{{record.TopicPartition{Topic: "a"}, 2, 3}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if o, err := DecodeOffsets(data); err == nil {
			if again, err := DecodeOffsets(o.Encode()); err != nil || len(again) != len(o) {
				t.Fatalf("offsets do not survive: %v", err)
			}
		}
		if id, err := DecodeTopicID(data); err == nil {
			if again, err := DecodeTopicID(EncodeTopicID(id)); err != nil || again != id {
				t.Fatal("topic id does not survive")
			}
		}
		_, _ = DecodeMetaProperties(data)
		if places, err := DecodeDamage(data); err == nil {
			once := EncodeDamage(places)
			if again, err := DecodeDamage(once); err != nil || len(again) != len(places) || !bytes.Equal(EncodeDamage(again), once) {
				t.Fatalf("list of damage does not survive: %v", err)
			}
		}
	})
}

func TestKindOf(t *testing.T) {
	for name, want := range map[string]Kind{
		"a/00000000000000000012.log": KindLog, "00000000000000000012.log.deleted": KindLog, "00000000000000000012.index.swap": KindOffsetIndex,
		"00000000000000000012.timeindex": KindTimeIndex, "00000000000000000012.txnindex": KindTxnIndex,
		"00000000000000000012.snapshot": KindSnapshot, "x/replication-offset-checkpoint": KindOffsets,
		"leader-epoch-checkpoint": KindEpochs, "partition.metadata": KindTopicID,
		"x.log": KindUnknown, "12.txt": KindUnknown, "-1.log": KindUnknown, "": KindUnknown,
	} {
		k, base := KindOf(name)
		if k != want || strings.Contains(name, "12") && k != KindUnknown && base != 12 {
			t.Errorf("%q: %v, base %d", name, k, base)
		}
	}
}
