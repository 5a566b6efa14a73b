package exchange

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/coordination"
	"github.com/leatstream/leat/broker/coordination/embedded"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
	"github.com/leatstream/leat/deploy/testbed"
)

// few keeps internal topics small in both brokers; cleaners look often.
func few() []string {
	return []string{
		"offsets.topic.num.partitions=4", "transaction.state.log.num.partitions=4", "log.cleaner.backoff.ms=200",
		"log.flush.start.offset.checkpoint.interval.ms=200",
	}
}

func startLeat(t *testing.T, dir string, port int, more ...string) *testbed.Server {
	t.Helper()
	var args []string
	for _, p := range append(few(), more...) {
		args = append(args, "--override", p)
	}
	return testbed.StartServer(t, dir, port, args...)
}

func startKafka(t *testing.T, zooKeeper, logDir string, port int) *testbed.Process {
	t.Helper()
	return testbed.KafkaIn(t, "3.9", zooKeeper, t.TempDir(), port, append(few(), "log.dirs="+logDir)...)
}

// ends are the two ways in which the first broker goes.
func ends() map[string]func(*testing.T, *testbed.Process) {
	return map[string]func(*testing.T, *testbed.Process){
		"stop": func(t *testing.T, p *testbed.Process) { p.Stop(t) },
		"kill": func(t *testing.T, p *testbed.Process) { p.Kill() },
	}
}

func require(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts Java processes")
	}
	testbed.Require(t, "kafka-3.9")
	testbed.Require(t, "zookeeper")
}

// A Kafka broker serves a folder that Leat wrote as Leat does, and goes on from
// there.
func TestKafkaServesWhatLeatWrote(t *testing.T) {
	require(t)
	for name, end := range ends() {
		t.Run(name, func(t *testing.T) {
			dir, port := t.TempDir(), testbed.FreePort(t)
			logDir := filepath.Join(dir, "log")
			leat := startLeat(t, dir, port)
			addr := "127.0.0.1:" + strconv.Itoa(port)
			fill(t, addr)
			o := newOnce(t, addr)
			o.add(t, addr)
			leat.Stop(t)
			appendTransactions(t, logDir)

			leat = startLeat(t, dir, port)
			o.goesOn(t, addr)
			waitCompacted(t, addr)
			before := look(t, addr)
			end(t, leat.Process)

			zooKeeper := testbed.ZooKeeper(t)
			copyTree(t, filepath.Join(dir, "coordination"), zooKeeper)
			kafka := startKafka(t, zooKeeper, logDir, port)
			serving(t, kafka, addr)
			compare(t, before, look(t, addr))
			o.goesOn(t, addr)
			refuseKafkasWords(t, kafka)
		})
	}
}

// Leat serves a folder that Kafka wrote as Kafka does, and goes on from there.
func TestLeatServesWhatKafkaWrote(t *testing.T) {
	require(t)
	for name, end := range ends() {
		t.Run(name, func(t *testing.T) {
			logDir, dir, port := filepath.Join(t.TempDir(), "kafka"), t.TempDir(), testbed.FreePort(t)
			addr := "127.0.0.1:" + strconv.Itoa(port)
			zooKeeper := testbed.ZooKeeper(t)
			kafka := startKafka(t, zooKeeper, logDir, port)
			serving(t, kafka, addr)
			fill(t, addr)
			o := newOnce(t, addr)
			o.add(t, addr)
			o.add(t, addr)
			transact(t, addr)
			waitCompacted(t, addr)
			kafka.Until(t, "the trimmed start is on disk", func() bool {
				starts, _ := os.ReadFile(filepath.Join(logDir, "log-start-offset-checkpoint"))
				return strings.Contains(string(starts), "trimmed 0 170")
			})
			before := look(t, addr)
			from := []string{"server", "import", "--data-dir", dir, "--override", "log.dirs=" + logDir, "--zookeeper", zooKeeper, "--format", "json"}
			if _, errs, err := testbed.Run("", testbed.Binary(t), from...); err == nil || !strings.Contains(errs, "stop it first") {
				t.Errorf("import beside a running broker: %v %s", err, errs)
			}
			end(t, kafka)

			importTree(t, kafka, from)
			leat := startLeat(t, dir, port, "log.dirs="+logDir)
			after := look(t, addr)
			compare(t, before, after)
			o.goesOn(t, addr)
			if fresh := newOnce(t, addr); fresh.id <= o.id {
				t.Errorf("producer id %d is handed out after %d", fresh.id, o.id)
			}
			send(t, dial(t, addr), "codecs", 10, "more")
			if code := leat.Stop(t); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if _, errs, err := testbed.Run("", testbed.Binary(t), from...); err == nil || !strings.Contains(errs, "holds a cluster already") {
				t.Errorf("import into a tree that is not empty: %v %s", err, errs)
			}
		})
	}
}

// importTree imports first without, then with consequences. The session of a
// broker that was killed must end before.
func importTree(t *testing.T, kafka *testbed.Process, args []string) {
	t.Helper()
	testbed.Until(t, "the broker's session has ended", func() bool {
		out, errs, err := testbed.Run("", testbed.Binary(t), append(args, "--dry-run")...)
		if err != nil && strings.Contains(errs, "is registered") {
			return false
		}
		if err != nil {
			t.Fatalf("%v: %s", err, errs)
		}
		checkReport(t, out, true)
		return true
	})
	checkReport(t, testbed.Output(t, "", testbed.Binary(t), args...), false)
}

func checkReport(t *testing.T, out string, dryRun bool) {
	t.Helper()
	var report struct {
		DryRun     bool   `json:"dry_run"`
		ClusterID  string `json:"cluster_id"`
		Taken      int    `json:"partitions_taken"`
		NotTaken   int    `json:"partitions_not_taken"`
		NextID     int64  `json:"next_producer_id"`
		Partitions []struct{ Topic, Fate, Folder string }
		Warnings   []struct{ Text string }
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	// Eight partitions of ours, four each of committed offsets and transactions.
	if report.DryRun != dryRun || report.ClusterID == "" || report.Taken != 16 || report.NotTaken != 0 || report.NextID < 1000 || len(report.Warnings) != 0 {
		t.Errorf("import says %s", out)
	}
	for _, p := range report.Partitions {
		if p.Fate != "taken" || p.Folder == "" {
			t.Errorf("partition %+v", p)
		}
	}
}

// serving waits until all partitions have a leader.
func serving(t *testing.T, p *testbed.Process, addr string) {
	t.Helper()
	adm := kadm.NewClient(dial(t, addr, kgo.MetadataMinAge(10*time.Millisecond)))
	p.Until(t, "the broker leads what it has and knows its groups", func() bool {
		m, err := adm.Metadata(patience(t))
		if err != nil || len(m.Brokers) == 0 {
			return false
		}
		if committed, err := adm.FetchOffsets(patience(t), group); err != nil || committed.Error() != nil {
			return false // the coordinator is still reading
		}
		led := true
		m.Topics.EachPartition(func(d kadm.PartitionDetail) { led = led && d.Leader == 0 && d.Err == nil })
		return led
	})
}

// waitCompacted waits until the compacted topic has lost records.
func waitCompacted(t *testing.T, addr string) {
	t.Helper()
	adm := kadm.NewClient(dial(t, addr))
	testbed.Until(t, "the topic is compacted", func() bool {
		starts := must(adm.ListStartOffsets(patience(t), "latest"))(t)
		ends := must(adm.ListEndOffsets(patience(t), "latest"))(t)
		return len(consume(t, addr, starts, ends)) < 1000
	})
}

// refuseKafkasWords fails t when Kafka complained about the files.
func refuseKafkasWords(t *testing.T, kafka *testbed.Process) {
	t.Helper()
	bad := regexp.MustCompile(`(?m)^(WARN|ERROR|FATAL) (\w*Log|\w*Log[A-Z]\w*|\w*Index|ProducerStateManager|\w*CheckpointFile|GroupMetadataManager|Transaction\w*|BrokerMetadataCheckpoint|KafkaServer|PartitionMetadataFile) .*$`)
	for _, line := range bad.FindAllString(kafka.Stdout()+kafka.Stderr(), -1) {
		t.Errorf("Kafka says: %s", line)
	}
}

// copyTree copies what lasts from an embedded tree into a ZooKeeper.
func copyTree(t *testing.T, dir, zooKeeper string) {
	t.Helper()
	store := must(embedded.Open(embedded.Config{Dir: dir}, nil, nil))(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- store.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	tree := must(store.Connect(ctx))(t)
	conn, _, err := zk.Connect([]string{zooKeeper}, 10*time.Second, zk.WithLogInfo(false))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, parent := range []string{"/brokers", "/config", "/cluster"} {
		create(t, conn, parent, nil)
	}
	for _, root := range []string{coordination.ClusterIDPath, coordination.ConfigTypePath(coordination.ConfigTopics), coordination.TopicsPath} {
		copyNodes(t, tree, conn, root)
	}
}

func copyNodes(t *testing.T, tree coordination.Tree, conn *zk.Conn, path string) {
	t.Helper()
	data, _, err := tree.Get(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	create(t, conn, path, data)
	names, _, err := tree.Children(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		copyNodes(t, tree, conn, path+"/"+name)
	}
}

func create(t *testing.T, conn *zk.Conn, path string, data []byte) {
	t.Helper()
	if _, err := conn.Create(path, data, 0, zk.WorldACL(zk.PermAll)); err != nil && !errors.Is(err, zk.ErrNodeExists) {
		t.Fatal(path, err)
	}
}

// transact runs transactions of both outcomes, and leaves one open.
func transact(t *testing.T, addr string) {
	t.Helper()
	for _, id := range []string{"first", "second"} {
		cl := dial(t, addr, kgo.TransactionalID(id), kgo.TransactionTimeout(10*time.Minute), kgo.ProducerBatchMaxBytes(1024))
		for n := range 12 {
			if err := cl.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			send(t, cl, "accounts", 10, id+" "+strconv.Itoa(n))
			if err := cl.EndTransaction(patience(t), kgo.TransactionEndTry(n%3 != 1)); err != nil {
				t.Fatal(err)
			}
		}
	}
	cl := dial(t, addr, kgo.TransactionalID("open"), kgo.TransactionTimeout(10*time.Minute))
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	send(t, cl, "accounts", 10, "open")
}

// appendTransactions writes the same kind of transactions straight into the
// files of a broker that is not running: 16 are committed, 9 aborted, one stays
// open.
func appendTransactions(t *testing.T, logDir string) {
	t.Helper()
	defaults := commitlog.DefaultConfig()
	defaults.SegmentBytes, defaults.IndexIntervalBytes = 2048, 256
	meta, _, err := format.ReadMetaProperties(vfs.OS{}, logDir)
	if err != nil {
		t.Fatal(err)
	}
	m := must(commitlog.OpenManager(t.Context(), commitlog.ManagerConfig{
		Dirs: []string{logDir}, BrokerID: meta.BrokerID, ClusterID: meta.ClusterID, Defaults: defaults,
	}, nil, nil))(t)
	l := must(m.GetOrCreate(record.TopicPartition{Topic: "accounts"}, [16]byte{}, defaults))(t)
	w := transactions{log: l, next: map[int64]int32{}}
	for n := range 24 {
		pid := int64(5000 + n%2)
		w.append(t, pid, 10)
		w.append(t, 5002, 1+n%2) // another one runs beside, over several segments
		marker := record.Commit
		if n%3 == 1 {
			marker = record.Abort
		}
		w.end(t, pid, marker)
	}
	w.end(t, 5002, record.Abort)
	w.append(t, 5003, 5) // stays open
	if err := m.Close(m.PreviousBrokerEpoch()); err != nil {
		t.Fatal(err)
	}
}

// transactions appends to one log.
type transactions struct {
	log  *commitlog.Log
	next map[int64]int32 // by producer: its next sequence number
	time int64
}

func (w *transactions) append(t *testing.T, pid int64, count int) {
	t.Helper()
	opts := record.NewOptions()
	opts.ProducerID, opts.ProducerEpoch, opts.BaseSequence, opts.Transactional = pid, 3, w.next[pid], true
	var b record.Builder
	b.Reset(opts)
	for range count {
		w.time++
		b.Append(firstTime+w.time, nil, []byte("of "+strconv.FormatInt(pid, 10)))
	}
	w.next[pid] += int32(count)
	w.write(t, must(b.Build(nil))(t), commitlog.OriginClient)
}

func (w *transactions) end(t *testing.T, pid int64, kind record.MarkerType) {
	t.Helper()
	w.time++
	w.write(t, must(record.AppendMarker(nil, pid, 3, firstTime+w.time, record.Marker{Type: kind, CoordinatorEpoch: 1}))(t), commitlog.OriginCoordinator)
}

func (w *transactions) write(t *testing.T, batch []byte, origin commitlog.Origin) {
	t.Helper()
	epoch, _ := w.log.LatestEpoch()
	if _, err := w.log.AppendAsLeader(batch, max(epoch, 0), commitlog.AppendOptions{Origin: origin, Now: time.Now().UnixMilli()}); err != nil {
		t.Fatal(err)
	}
}
