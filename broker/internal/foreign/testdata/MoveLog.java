import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.TopicPartitionReplica;

/** Moves partition 0 of a topic of broker 0, if a directory is given, and tells where its log is: as kafka-reassign-partitions does. */
public class MoveLog {
    public static void main(String[] args) throws Exception {
        String topic = args[2];
        Properties config = new Properties();
        config.put("bootstrap.servers", args[1]);
        TopicPartitionReplica replica = new TopicPartitionReplica(topic, 0, 0);
        try (Admin admin = Admin.create(config)) {
            if (args.length > 3) {
                try {
                    admin.alterReplicaLogDirs(Map.of(replica, args[3])).all().get();
                    System.out.println("moving to " + args[3]);
                } catch (java.util.concurrent.ExecutionException e) {
                    System.out.println("refused: " + e.getCause().getClass().getSimpleName());
                }
            }
            var info = admin.describeReplicaLogDirs(List.of(replica)).values().get(replica).get();
            System.out.println("current " + info.getCurrentReplicaLogDir() + " future " + info.getFutureReplicaLogDir());
        }
    }
}
