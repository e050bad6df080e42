package org.ftcluster.protocol.serialization;

import com.esotericsoftware.kryo.Kryo;
import com.esotericsoftware.kryo.serializers.RecordSerializer;
import java.util.List;
import org.apache.pekko.actor.typed.ActorRef;
import org.apache.pekko.actor.typed.ActorRefResolver;
import org.ftcluster.protocol.message.Epoch;
import org.ftcluster.protocol.message.RankReport;
import org.ftcluster.protocol.message.WorkerCommand;
import org.ftcluster.protocol.message.WorkerDescription;

/**
 * The types that may travel between nodes, each with the number that stands for it on the wire. A
 * number is never given to another type.
 */
final class MessageTypes {
  /** Deeper than any message nests. */
  private static final int MAX_DEPTH = 8;

  private MessageTypes() {}

  static Kryo kryo(ActorRefResolver resolver) {
    Kryo kryo = new Kryo();
    kryo.setRegistrationRequired(true);
    kryo.setMaxDepth(MAX_DEPTH);

    kryo.register(byte[].class, 16);
    kryo.register(List.class, new ListSerializer(), 17);
    kryo.register(ActorRef.class, new ActorRefSerializer(resolver), 18);

    record(kryo, WorkerCommand.Describe.class, 32);
    record(kryo, WorkerCommand.PrepareRank.class, 33);
    record(kryo, WorkerCommand.StartRank.class, 34);
    record(kryo, WorkerCommand.StopRank.class, 35);
    record(kryo, WorkerCommand.ReleaseJob.class, 36);
    record(kryo, WorkerCommand.PeerAddress.class, 37);
    record(kryo, WorkerCommand.LoadJob.class, 38);
    record(kryo, WorkerCommand.HandOver.class, 39);
    record(kryo, WorkerCommand.Drain.class, 40);
    record(kryo, WorkerCommand.ReportTo.class, 41);
    record(kryo, WorkerCommand.NoteHeard.class, 42);
    record(kryo, Epoch.class, 43);

    record(kryo, RankReport.Prepared.class, 48);
    record(kryo, RankReport.Started.class, 49);
    record(kryo, RankReport.StepCompleted.class, 50);
    record(kryo, RankReport.Noted.class, 51);
    record(kryo, RankReport.Completed.class, 52);
    record(kryo, RankReport.Failed.class, 53);
    record(kryo, RankReport.StepMetrics.class, 54);
    record(kryo, RankReport.TrainingResult.class, 55);
    kryo.register(RankReport.Cause.class, 56);
    record(kryo, RankReport.HandedOver.class, 57);
    record(kryo, RankReport.Leaving.class, 58);
    record(kryo, RankReport.Resumed.class, 59);
    record(kryo, RankReport.Paced.class, 60);
    kryo.register(RankReport.Pace.class, 61);

    record(kryo, WorkerDescription.class, 64);
    return kryo;
  }

  /** Whether a value of this type is a message of its own, and not only a part of one. */
  static boolean isMessage(Class<?> type) {
    return WorkerCommand.class.isAssignableFrom(type)
        || RankReport.class.isAssignableFrom(type)
        || type == WorkerDescription.class;
  }

  /** Components are read as the types they are declared with, so the bytes can't name others. */
  private static <T> void record(Kryo kryo, Class<T> type, int id) {
    RecordSerializer<T> serializer = new RecordSerializer<>(type);
    serializer.setFixedFieldTypes(true);
    kryo.register(type, serializer, id);
  }
}
