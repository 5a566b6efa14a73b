import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.hdfs.MiniDFSCluster;

/** An HDFS of one NameNode and some DataNodes in one process: DIR RPC_PORT HTTP_PORT DATANODES. Keeps its data in DIR. */
public class Hdfs {
  public static void main(String[] args) throws Exception {
    Path dir = Path.of(args[0]).toAbsolutePath();
    int nodes = Integer.parseInt(args[3]);
    var conf = new Configuration();
    conf.set("hadoop.tmp.dir", dir.resolve("tmp").toString());
    conf.set("dfs.namenode.rpc-bind-host", "127.0.0.1");
    conf.setInt("dfs.heartbeat.interval", 1);
    conf.setInt("dfs.replication", Math.min(nodes, 3));
    conf.set("dfs.client.block.write.replace-datanode-on-failure.policy", "NEVER");
    var hdfs = new MiniDFSCluster.Builder(conf, dir.toFile())
        .nameNodePort(Integer.parseInt(args[1]))
        .nameNodeHttpPort(Integer.parseInt(args[2]))
        .numDataNodes(nodes)
        .format(!Files.exists(dir.resolve("name-0-1")))
        .build();
    hdfs.waitActive();
    hdfs.getFileSystem().setPermission(new org.apache.hadoop.fs.Path("/"), new FsPermission((short) 0777));
    System.out.println("hdfs ready");
    Thread.currentThread().join();
  }
}
