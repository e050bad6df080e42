package org.ftcluster.coordinator.journal;

import com.google.protobuf.InvalidProtocolBufferException;
import java.io.NotSerializableException;
import org.apache.pekko.serialization.SerializerWithStringManifest;
import org.ftcluster.coordinator.job.JobEvent;
import org.ftcluster.coordinator.registry.JobNumbered;
import org.ftcluster.protocol.events.JobEventRecord;
import org.ftcluster.protocol.events.JobIndexEntry;

/**
 * Events as protobuf (events.proto). The manifests stand in every journal there is and never
 * change.
 */
public final class EventSerializer extends SerializerWithStringManifest {
  private static final int IDENTIFIER = 7_002;
  private static final String JOB_EVENT = "job-event";
  private static final String JOB_NUMBERED = "job-numbered";

  @Override
  public int identifier() {
    return IDENTIFIER;
  }

  @Override
  public String manifest(Object event) {
    return switch (event) {
      case JobEvent ignored -> JOB_EVENT;
      case JobNumbered ignored -> JOB_NUMBERED;
      default -> throw new IllegalArgumentException(event.getClass() + " is no event");
    };
  }

  @Override
  public byte[] toBinary(Object event) {
    return switch (event) {
      case JobEvent jobEvent -> JobEventMapping.toProto(jobEvent).toByteArray();
      case JobNumbered numbered ->
          JobIndexEntry.newBuilder().setJob(numbered.job()).build().toByteArray();
      default -> throw new IllegalArgumentException(event.getClass() + " is no event");
    };
  }

  @Override
  public Object fromBinary(byte[] bytes, String manifest) throws NotSerializableException {
    try {
      return switch (manifest) {
        case JOB_EVENT -> JobEventMapping.fromProto(JobEventRecord.parseFrom(bytes));
        case JOB_NUMBERED -> new JobNumbered(JobIndexEntry.parseFrom(bytes).getJob());
        default ->
            throw new NotSerializableException(
                "an event with the manifest '%s', written by a newer version".formatted(manifest));
      };
    } catch (InvalidProtocolBufferException e) {
      NotSerializableException damaged =
          new NotSerializableException("a damaged event: " + e.getMessage());
      damaged.initCause(e);
      throw damaged;
    }
  }
}
