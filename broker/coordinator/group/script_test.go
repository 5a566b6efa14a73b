package group

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/leatstream/leat/broker/coordinator"
	"github.com/leatstream/leat/broker/replica"
)

// The environment variable LEAT_REWRITE=1 makes the test write what it saw into
// the scripts.
const rewriteVariable = "LEAT_REWRITE"

// TestScripts runs the stories in testdata. A script is a sequence of commands,
// each followed by "----" and what it prints: the replies it caused, in order,
// and the records it wrote.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) { runScript(t, f) })
	}
}

func runScript(t *testing.T, path string) {
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	w := newScriptWorld(t, scriptConfig())
	var out strings.Builder
	failed := false
	lines := strings.Split(strings.TrimRight(string(src), "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		if line := lines[i]; line == "" || strings.HasPrefix(line, "#") {
			fmt.Fprintln(&out, line)
			continue
		}
		start := i
		var cmds []string
		for i < len(lines) && lines[i] != "----" {
			cmds = append(cmds, lines[i])
			i++
		}
		var want []string
		for i++; i < len(lines) && lines[i] != ""; i++ {
			want = append(want, lines[i])
		}
		for _, c := range cmds {
			w.exec(c)
		}
		got := w.take()
		fmt.Fprintf(&out, "%s\n----\n%s\n", strings.Join(cmds, "\n"), got)
		if got != strings.Join(append(want, ""), "\n") {
			failed = true
			t.Errorf("%s:%d: %s\ngot:\n%s\nwant:\n%s", path, start+1, strings.Join(cmds, "; "), got, strings.Join(want, "\n"))
		}
	}
	if failed && os.Getenv(rewriteVariable) != "" {
		if err := os.WriteFile(path, []byte(strings.TrimRight(out.String(), "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func scriptConfig() Config {
	cfg := DefaultConfig()
	cfg.InitialRebalanceDelay = 3 * time.Second
	cfg.MaxSize = 4
	return cfg
}

// scriptWorld is a shard, the log it writes to, and a clock.
type scriptWorld struct {
	t     testing.TB
	cfg   Config
	shard *Shard
	now   time.Time
	ids   int
	// log is what is committed; held are writes in flight, when hold is on.
	log  []coordinator.Record
	held []coordinator.Write
	hold bool
	out  strings.Builder
}

func newScriptWorld(t testing.TB, cfg Config) *scriptWorld {
	w := &scriptWorld{t: t, cfg: cfg, now: time.UnixMilli(1_000_000)}
	w.shard = newShard(cfg, w.newID)
	w.effects(w.shard.Loaded(w.now))
	return w
}

func (w *scriptWorld) newID() string { w.ids++; return strconv.Itoa(w.ids) }

func (w *scriptWorld) take() string {
	s := w.out.String()
	w.out.Reset()
	return s
}

func (w *scriptWorld) printf(format string, args ...any) { fmt.Fprintf(&w.out, format+"\n", args...) }

func (w *scriptWorld) effects(eff coordinator.Effects) {
	for _, f := range eff.Replies {
		f()
	}
	for _, wr := range eff.Writes {
		if w.hold {
			w.held = append(w.held, wr)
			continue
		}
		w.settle(wr, nil)
	}
}

func (w *scriptWorld) settle(wr coordinator.Write, err error) {
	if err == nil {
		for _, r := range wr.Records {
			w.log = append(w.log, r)
			w.printf("  write %s", describeRecord(w.t, r))
		}
	}
	w.effects(wr.Done(err, w.now))
}

func describeRecord(t testing.TB, r coordinator.Record) string {
	e, err := decode(r)
	switch {
	case err != nil:
		t.Fatal(err)
	case e.isOffset && e.offset == nil:
		return fmt.Sprintf("offset %s %v tombstone", e.group, e.tp)
	case e.isOffset:
		return fmt.Sprintf("offset %s %v=%d", e.group, e.tp, e.offset.offset)
	case e.meta == nil:
		return fmt.Sprintf("group %s tombstone", e.group)
	}
	var ms []string
	for _, m := range e.meta.Members {
		ms = append(ms, fmt.Sprintf("%s=%q", m.MemberID, m.Assignment))
	}
	return fmt.Sprintf("group %s gen=%d leader=%s members=[%s]", e.group, e.meta.Generation, deref(e.meta.Leader), strings.Join(ms, " "))
}

func deref(s *string) string {
	if s == nil {
		return "-"
	}
	return *s
}

// args are a command's key=value words; those without "=" are positional.
type args struct {
	pos []string
	kv  map[string]string
}

func parseArgs(line string) args {
	a := args{kv: map[string]string{}}
	for _, w := range strings.Fields(line) {
		if k, v, ok := strings.Cut(w, "="); ok && !strings.Contains(k, ":") {
			a.kv[k] = v
		} else {
			a.pos = append(a.pos, w)
		}
	}
	return a
}

func (a args) str(k, def string) string {
	if v, ok := a.kv[k]; ok {
		return v
	}
	return def
}

func (a args) ptr(k string) *string {
	if v, ok := a.kv[k]; ok {
		return &v
	}
	return nil
}

func (a args) num(k string, def int) int {
	n, err := strconv.Atoi(a.str(k, strconv.Itoa(def)))
	if err != nil {
		panic(err)
	}
	return n
}

func (a args) list(k string) []string {
	if v := a.kv[k]; v != "" {
		return strings.Split(v, ",")
	}
	return nil
}

func (a args) ms(k, def string) int32 {
	d, err := time.ParseDuration(a.str(k, def))
	if err != nil {
		panic(err)
	}
	return int32(d.Milliseconds())
}

func (w *scriptWorld) do(r request) { w.effects(w.shard.Handle(r, w.now)) }

func (w *scriptWorld) exec(line string) {
	a := parseArgs(line)
	cmd := a.pos[0]
	a.pos = a.pos[1:]
	switch cmd {
	case "join":
		w.join(a)
	case "sync":
		w.sync(a)
	case "heartbeat":
		r := &kmsg.HeartbeatRequest{Group: a.pos[0], MemberID: a.str("member", ""), InstanceID: a.ptr("instance"), Generation: int32(a.num("gen", 1))}
		w.do(&heartbeatRequest{r, func(resp *kmsg.HeartbeatResponse) { w.printf("heartbeat %s: %s", r.MemberID, codeName(resp.ErrorCode)) }})
	case "leave":
		w.leave(a)
	case "commit":
		w.commit(a)
	case "fetch":
		w.fetch(a)
	case "offset-delete":
		w.offsetDelete(a)
	case "delete":
		w.do(&deleteRequest{a.pos[0], func(code int16) { w.printf("delete %s: %s", a.pos[0], codeName(code)) }})
	case "topics-deleted":
		set := map[string]struct{}{}
		for _, t := range a.pos {
			set[t] = struct{}{}
		}
		w.do(&topicsDeletedRequest{set})
	case "describe":
		w.do(&describeRequest{a.pos[0], int16(a.num("v", 5)), w.printDescription})
	case "list":
		w.do(&listRequest{a.list("states"), func(_ int16, gs []kmsg.ListGroupsResponseGroup) {
			slices.SortFunc(gs, func(a, b kmsg.ListGroupsResponseGroup) int { return strings.Compare(a.Group, b.Group) })
			for _, g := range gs {
				w.printf("%s type=%q state=%s %s", g.Group, g.ProtocolType, g.GroupState, g.GroupType)
			}
		}})
	case "advance":
		w.advance(a.pos[0])
	case "retention":
		d, err := time.ParseDuration(a.pos[0])
		if err != nil {
			w.t.Fatal(err)
		}
		w.cfg.OffsetsRetention, w.shard.cfg.OffsetsRetention = d, d
	case "hold":
		w.hold = true
	case "release":
		w.release(a)
	case "overdue":
		for _, wr := range w.held {
			if wr.Overdue != nil {
				w.effects(wr.Overdue(w.now))
			}
		}
	case "reload":
		w.reload()
	case "unload":
		w.effects(w.shard.Unload(coordinator.ErrNotCoordinator))
	case "dump":
		w.printf("%s", strings.TrimRight(dump(w.shard), "\n"))
	default:
		w.t.Fatalf("unknown command %q", cmd)
	}
}

func codeName(code int16) string {
	if code == 0 {
		return "ok"
	}
	return kerr.ErrorForCode(code).(*kerr.Error).Message
}

func subscribe(topics []string) []byte {
	m := kmsg.ConsumerMemberMetadata{Topics: topics}
	return m.AppendTo(nil)
}

func (w *scriptWorld) join(a args) {
	r := kmsg.NewPtrJoinGroupRequest()
	r.Version = int16(a.num("v", 9))
	r.Group, r.MemberID, r.InstanceID = a.pos[0], a.str("member", ""), a.ptr("instance")
	r.SessionTimeoutMillis, r.RebalanceTimeoutMillis = a.ms("session", "10s"), a.ms("rebalance", "60s")
	r.ProtocolType = a.str("type", "consumer")
	for _, p := range strings.Split(a.str("protos", "range"), ",") {
		if p != "" {
			r.Protocols = append(r.Protocols, kmsg.JoinGroupRequestProtocol{Name: p, Metadata: subscribe(a.list("topics"))})
		}
	}
	if raw, ok := a.kv["metadata"]; ok {
		r.Protocols[0].Metadata = []byte(raw)
	}
	label := a.str("as", "join")
	w.do(&joinRequest{r, Client{ID: a.str("client", "c"), Host: "/h"}, func(resp *kmsg.JoinGroupResponse) {
		if resp.ErrorCode != 0 {
			w.printf("%s: %s member=%q", label, codeName(resp.ErrorCode), resp.MemberID)
			return
		}
		var ms []string
		for _, m := range resp.Members {
			ms = append(ms, m.MemberID)
		}
		skip := ""
		if resp.SkipAssignment {
			skip = " skip-assignment"
		}
		w.printf("%s: ok gen=%d member=%s leader=%s protocol=%s members=%v%s", label, resp.Generation, resp.MemberID, resp.LeaderID, deref(resp.Protocol), ms, skip)
	}})
}

func (w *scriptWorld) sync(a args) {
	r := kmsg.NewPtrSyncGroupRequest()
	r.Version = 5
	r.Group, r.MemberID, r.InstanceID, r.Generation = a.pos[0], a.str("member", ""), a.ptr("instance"), int32(a.num("gen", 1))
	r.ProtocolType, r.Protocol = a.ptr("type"), a.ptr("proto")
	for _, as := range a.list("assign") {
		m, v, _ := strings.Cut(as, ":")
		r.GroupAssignment = append(r.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: m, MemberAssignment: []byte(v)})
	}
	w.do(&syncRequest{r, func(resp *kmsg.SyncGroupResponse) {
		w.printf("sync %s: %s assignment=%q", r.MemberID, codeName(resp.ErrorCode), resp.MemberAssignment)
	}})
}

func (w *scriptWorld) leave(a args) {
	r := kmsg.NewPtrLeaveGroupRequest()
	r.Group, r.Version = a.pos[0], int16(a.num("v", 5))
	r.MemberID = a.str("member", "")
	for _, m := range a.list("members") {
		r.Members = append(r.Members, kmsg.LeaveGroupRequestMember{MemberID: m})
	}
	for _, i := range a.list("instances") {
		r.Members = append(r.Members, kmsg.LeaveGroupRequestMember{InstanceID: &i})
	}
	w.do(&leaveRequest{r, func(resp *kmsg.LeaveGroupResponse) {
		w.printf("leave: %s", codeName(resp.ErrorCode))
		for _, m := range resp.Members {
			w.printf("  %s%s: %s", m.MemberID, deref(m.InstanceID), codeName(m.ErrorCode))
		}
	}})
}

func (w *scriptWorld) commit(a args) {
	r := kmsg.NewPtrOffsetCommitRequest()
	r.Version = int16(a.num("v", 9))
	r.Group, r.MemberID, r.InstanceID, r.Generation = a.str("group", ""), a.str("member", ""), a.ptr("instance"), int32(a.num("gen", -1))
	if len(a.pos) > 0 && !strings.Contains(a.pos[0], ":") {
		r.Group, a.pos = a.pos[0], a.pos[1:]
	}
	if d, ok := a.kv["retention"]; ok {
		v, _ := time.ParseDuration(d)
		r.RetentionTimeMillis = v.Milliseconds()
	}
	md := strings.Repeat("x", a.num("metadata", 0))
	for _, tp := range a.pos {
		name, off, _ := strings.Cut(tp, "=")
		topic, p, _ := strings.Cut(name, ":")
		part, _ := strconv.Atoi(p)
		o, _ := strconv.Atoi(off)
		rp := kmsg.NewOffsetCommitRequestTopicPartition()
		rp.Partition, rp.Offset, rp.Metadata = int32(part), int64(o), &md
		r.Topics = append(r.Topics, kmsg.OffsetCommitRequestTopic{Topic: topic, Partitions: []kmsg.OffsetCommitRequestTopicPartition{rp}})
	}
	w.do(&commitRequest{r, func(resp *kmsg.OffsetCommitResponse) {
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				w.printf("commit %s-%d: %s", t.Topic, p.Partition, codeName(p.ErrorCode))
			}
		}
	}})
}

func (w *scriptWorld) fetch(a args) {
	r := &fetchRequest{group: a.pos[0], all: len(a.pos) == 1, requireStable: a.str("stable", "") == "true"}
	for _, tp := range a.pos[1:] {
		topic, p, _ := strings.Cut(tp, ":")
		part, _ := strconv.Atoi(p)
		r.topics = append(r.topics, kmsg.OffsetFetchRequestGroupTopic{Topic: topic, Partitions: []int32{int32(part)}})
	}
	r.done = func(g kmsg.OffsetFetchResponseGroup) {
		w.printf("fetch %s: %s", g.Group, codeName(g.ErrorCode))
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				w.printf("  %s-%d: offset=%d %s", t.Topic, p.Partition, p.Offset, codeName(p.ErrorCode))
			}
		}
	}
	w.do(r)
}

func (w *scriptWorld) offsetDelete(a args) {
	r := &kmsg.OffsetDeleteRequest{Group: a.pos[0]}
	for _, tp := range a.pos[1:] {
		topic, p, _ := strings.Cut(tp, ":")
		part, _ := strconv.Atoi(p)
		r.Topics = append(r.Topics, kmsg.OffsetDeleteRequestTopic{Topic: topic, Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: int32(part)}}})
	}
	w.do(&offsetDeleteRequest{r, func(resp *kmsg.OffsetDeleteResponse) {
		w.printf("offset-delete: %s", codeName(resp.ErrorCode))
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				w.printf("  %s-%d: %s", t.Topic, p.Partition, codeName(p.ErrorCode))
			}
		}
	}})
}

func (w *scriptWorld) printDescription(g kmsg.DescribeGroupsResponseGroup) {
	w.printf("%s: %s state=%s type=%q protocol=%q", g.Group, codeName(g.ErrorCode), g.State, g.ProtocolType, g.Protocol)
	for _, m := range g.Members {
		w.printf("  %s instance=%s client=%s assignment=%q", m.MemberID, deref(m.InstanceID), m.ClientID, m.MemberAssignment)
	}
}

// advance moves the clock, stopping at each deadline.
func (w *scriptWorld) advance(s string) {
	d, err := time.ParseDuration(s)
	if err != nil {
		w.t.Fatal(err)
	}
	end := w.now.Add(d)
	for {
		next := w.shard.Deadline()
		if next.IsZero() || next.After(end) {
			break
		}
		if next.After(w.now) {
			w.now = next
		}
		w.effects(w.shard.Tick(w.now))
	}
	w.now = end
}

func (w *scriptWorld) release(a args) {
	held := w.held
	w.held, w.hold = nil, false
	var err error
	switch a.str("err", "") {
	case "":
	case "not-enough-replicas":
		err = replica.ErrNotEnoughReplicas
	case "not-leader":
		err = replica.ErrNotLeader
	default:
		err = errors.New(a.kv["err"])
	}
	for _, wr := range held {
		w.settle(wr, err)
	}
}

func (w *scriptWorld) reload() {
	w.shard = replayed(w.t, w.cfg, w.newID, w.log)
	w.effects(w.shard.Loaded(w.now))
}

func replayed(t testing.TB, cfg Config, newID func() string, log []coordinator.Record) *Shard {
	s := newShard(cfg, newID)
	for i, r := range log {
		if err := s.Replay(int64(i), r); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// dump prints every group of a shard.
func dump(s *Shard) string {
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(s.groups)) {
		g := s.groups[id]
		fmt.Fprintf(&b, "%s %s gen=%d type=%q protocol=%q leader=%q\n", id, g.state, g.generation, g.protocolType, g.protocol, g.leader)
		for _, m := range g.members {
			wait := ""
			if m.join != nil {
				wait += " joining"
			}
			if m.sync != nil {
				wait += " syncing"
			}
			fmt.Fprintf(&b, "  member %s instance=%s assignment=%q%s\n", m.id, deref(m.instanceID), m.assignment, wait)
		}
		for _, p := range slices.Sorted(maps.Keys(g.pending)) {
			fmt.Fprintf(&b, "  pending %s\n", p)
		}
		for _, tp := range sortedPartitions(g.offsets) {
			fmt.Fprintf(&b, "  offset %v=%d\n", tp, g.offsets[tp].offset)
		}
		for _, tp := range sortedPartitions(g.pendingOffsets) {
			fmt.Fprintf(&b, "  in flight %v\n", tp)
		}
	}
	if b.Len() == 0 {
		return "no groups\n"
	}
	return b.String()
}
