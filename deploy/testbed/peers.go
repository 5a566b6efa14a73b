package testbed

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Kcat runs kcat to its end and returns its standard output.
func Kcat(t testing.TB, stdin string, args ...string) string {
	t.Helper()
	Require(t, "kcat")
	return Output(t, stdin, "kcat", args...)
}

// KafkaTool runs a tool of Apache Kafka (version 0.8, 0.9, 0.10, 2.8, 3.9 or
// 4.3) to its end and returns its standard output.
func KafkaTool(t testing.TB, version, stdin, tool string, args ...string) string {
	t.Helper()
	Require(t, "kafka-"+version)
	return Output(t, stdin, script("run"), append([]string{"kafka-tool", version, tool}, args...)...)
}

// ZooKeeper starts Apache ZooKeeper and returns its address.
func ZooKeeper(t testing.TB) string {
	t.Helper()
	Require(t, "zookeeper")
	port := FreePort(t)
	addr := "127.0.0.1:" + strconv.Itoa(port)
	p := Start(t, nil, script("run"), "zookeeper", t.TempDir(), strconv.Itoa(port))
	p.Until(t, "ZooKeeper answers", func() bool { return strings.Contains(askZooKeeper(addr), "Mode:") })
	return addr
}

// askZooKeeper sends the command that prints a server's state. It has none while
// it starts, though it listens already.
func askZooKeeper(addr string) string {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return ""
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return ""
	}
	if _, err := io.WriteString(c, "srvr"); err != nil {
		return ""
	}
	answer, _ := io.ReadAll(c) // what came before an error says enough
	return string(answer)
}

// Kafka starts an Apache Kafka broker, 3.9 on a ZooKeeper of its own or 4.3
// alone, with further lines of server.properties, and returns its address.
func Kafka(t testing.TB, version string, properties ...string) string {
	t.Helper()
	Require(t, "kafka-"+version)
	zookeeper := ""
	if version != "4.3" {
		zookeeper = ZooKeeper(t)
	}
	port := FreePort(t)
	KafkaIn(t, version, zookeeper, t.TempDir(), port, properties...)
	return "127.0.0.1:" + strconv.Itoa(port)
}

// KafkaIn starts an Apache Kafka broker on a folder, whose logs are in its
// folder data, and waits until it answers; zookeeper is the address of its
// ZooKeeper.
func KafkaIn(t testing.TB, version, zookeeper, dir string, port int, properties ...string) *Process {
	t.Helper()
	Require(t, "kafka-"+version)
	var env []string
	if zookeeper != "" {
		env = append(env, "ZOOKEEPER="+zookeeper)
	}
	args := append([]string{"kafka", version, dir, strconv.Itoa(port), "0"}, properties...)
	p := Start(t, env, script("run"), args...)
	addr := "127.0.0.1:" + strconv.Itoa(port)
	p.Until(t, "Kafka answers", func() bool { return Answers(addr) })
	return p
}

// HDFS starts a NameNode and DataNodes and returns the address of the
// NameNode's RPC port and that of its HTTP port.
func HDFS(t testing.TB, dataNodes int) (rpc, http string) {
	t.Helper()
	Require(t, "hdfs")
	rpcPort, httpPort := FreePort(t), FreePort(t)
	p := Start(t, nil, script("run"), "hdfs", t.TempDir(), strconv.Itoa(rpcPort), strconv.Itoa(httpPort), strconv.Itoa(dataNodes))
	p.Until(t, "HDFS is ready", func() bool { return strings.Contains(p.Stdout(), "hdfs ready") })
	return fmt.Sprintf("127.0.0.1:%d", rpcPort), fmt.Sprintf("127.0.0.1:%d", httpPort)
}

// Python runs a Python program that may import duckdb and pyarrow, and returns
// its standard output.
func Python(t testing.TB, program string, args ...string) string {
	t.Helper()
	Require(t, "python")
	return Output(t, "", python(), append([]string{"-c", program}, args...)...)
}

// Binary builds leat once per test process and returns its path.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// build makes a binary of its own and renames it, so that several test
// processes may build at the same time.
var build = sync.OnceValues(func() (string, error) {
	path := filepath.Join(Root(), "dist", "leat-test")
	fresh := fmt.Sprintf("%s-%d", path, os.Getpid())
	cmd := exec.Command("go", "build", "-o", fresh, "./cmd/leat")
	cmd.Dir = Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/leat: %w\n%s", err, out)
	}
	return path, os.Rename(fresh, path)
})
