import java.io.BufferedOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Writes all committed records of some topics to standard output, as Kafka's own client reads them.
 * It is the one witness of the chaos tests that shares no code with the archiver. Arguments:
 * brokers, topic…
 *
 * A record is a 1, then topic (index of the argument), partition, offset, timestamp, key, value,
 * number of headers, headers. At the end of a partition comes a 2, topic, partition, log start,
 * end. At the end of all comes a 0. Numbers are big-endian; bytes have an int length before them,
 * -1 for null.
 */
public class PlainConsumer {
    public static void main(String[] arguments) throws IOException {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", arguments[0]);
        properties.put("isolation.level", "read_committed");
        properties.put("enable.auto.commit", "false");
        properties.put("max.poll.records", "500");
        properties.put("check.crcs", "true");
        try (KafkaConsumer<byte[], byte[]> consumer =
                        new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer());
                DataOutputStream out = new DataOutputStream(new BufferedOutputStream(System.out, 1 << 20))) {
            for (int topic = 1; topic < arguments.length; topic++) {
                for (PartitionInfo info : consumer.partitionsFor(arguments[topic])) {
                    read(consumer, topic - 1, new TopicPartition(info.topic(), info.partition()), out);
                }
            }
            out.writeByte(0);
        }
    }

    private static void read(
            KafkaConsumer<byte[], byte[]> consumer, int topic, TopicPartition tp, DataOutputStream out)
            throws IOException {
        List<TopicPartition> only = List.of(tp);
        long start = consumer.beginningOffsets(only).get(tp);
        long end = consumer.endOffsets(only).get(tp);
        consumer.assign(only);
        consumer.seek(tp, start);
        while (consumer.position(tp) < end) {
            for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(500)).records(tp)) {
                out.writeByte(1);
                out.writeInt(topic);
                out.writeInt(record.partition());
                out.writeLong(record.offset());
                out.writeLong(record.timestamp());
                writeBytes(out, record.key());
                writeBytes(out, record.value());
                List<Header> headers = new ArrayList<>();
                record.headers().forEach(headers::add);
                out.writeInt(headers.size());
                for (Header header : headers) {
                    writeBytes(out, header.key().getBytes(java.nio.charset.StandardCharsets.UTF_8));
                    writeBytes(out, header.value());
                }
            }
        }
        out.writeByte(2);
        out.writeInt(topic);
        out.writeInt(tp.partition());
        out.writeLong(start);
        out.writeLong(end);
    }

    private static void writeBytes(DataOutputStream out, byte[] bytes) throws IOException {
        out.writeInt(bytes == null ? -1 : bytes.length);
        if (bytes != null) out.write(bytes);
    }
}
