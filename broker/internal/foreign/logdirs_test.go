package foreign

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/leatstream/leat/deploy/testbed"
)

// A log is moved by Kafka's admin client, slowly and then at full speed, and
// Kafka's tools show where it is.
func TestKafkaMovesLogs(t *testing.T) {
	if testing.Short() {
		t.Skip("each tool starts a Java process")
	}
	root := t.TempDir()
	dirs := []string{filepath.Join(root, "a"), filepath.Join(root, "b")}
	s := testbed.StartServer(t, root, testbed.FreePort(t), "--override", "log.dirs="+strings.Join(dirs, ","))
	program, err := filepath.Abs("testdata/MoveLog.java")
	if err != nil {
		t.Fatal(err)
	}
	const rate = "replica.alter.log.dirs.io.max.bytes.per.second"
	for i, version := range versions() {
		t.Run(version, func(t *testing.T) {
			testbed.Require(t, "kafka-"+version)
			topic := "move-" + version
			run := func(tool, args string, want ...string) {
				t.Helper()
				step{tool: tool, args: args, want: want}.run(t, s.Addr, version)
			}
			move := func(more string, want ...string) { t.Helper(); run(program, topic+more, want...) }
			run("kafka-topics", "--create --topic "+topic+" --partitions 1")
			for range 5 {
				run("kcat", "-P -t "+topic+" -p 0")
			}
			from, to := dirs[i%2], dirs[(i+1)%2]
			move("", "^current "+from+" future null$")
			move(" /no/such/dir", "^refused: LogDirNotFoundException$")
			run("kafka-configs", "--alter --entity-type brokers --entity-name 0 --add-config "+rate+"=1", "^Completed")
			run("kafka-configs", "--describe --entity-type brokers --entity-name 0", rate+"=1 ")
			move(" "+to, "^moving to "+to+"$", "^current "+from+" future "+to+"$")
			run("kafka-log-dirs", "--describe --topic-list "+topic,
				`"partition":"`+topic+`-0","size":\d+,"offsetLag":0,"isFuture":false\}\],"error":null,"logDir":"`+from+`"`,
				`"partition":"`+topic+`-0","size":\d+,"offsetLag":\d+,"isFuture":true\}\],"error":null,"logDir":"`+to+`"`)
			run("kafka-configs", "--alter --entity-type brokers --entity-name 0 --delete-config "+rate, "^Completed")
			testbed.Until(t, "the log has moved", func() bool {
				moved, err := filepath.Glob(filepath.Join(to, topic+"-0", "*.log"))
				return err == nil && len(moved) == 1
			})
			move("", "^current "+to+" future null$")
			run("kafka-get-offsets", "--topic "+topic, "^"+topic+":0:20$")
			run("kafka-console-consumer", "--topic "+topic+" --from-beginning --max-messages 20", "^one$", "^four$")
		})
	}
}
