package org.ftcluster.protocol.serialization;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.esotericsoftware.kryo.Kryo;
import com.esotericsoftware.kryo.KryoException;
import com.esotericsoftware.kryo.io.Input;
import com.esotericsoftware.kryo.io.Output;
import com.typesafe.config.ConfigFactory;
import java.io.NotSerializableException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.pekko.actor.testkit.typed.javadsl.ActorTestKit;
import org.apache.pekko.actor.testkit.typed.javadsl.TestProbe;
import org.apache.pekko.actor.typed.ActorRef;
import org.apache.pekko.actor.typed.ActorRefResolver;
import org.apache.pekko.serialization.Serialization;
import org.apache.pekko.serialization.SerializationExtension;
import org.ftcluster.protocol.message.Epoch;
import org.ftcluster.protocol.message.RankReport;
import org.ftcluster.protocol.message.RankReport.Cause;
import org.ftcluster.protocol.message.RankReport.StepMetrics;
import org.ftcluster.protocol.message.RankReport.TrainingResult;
import org.ftcluster.protocol.message.WorkerCommand;
import org.ftcluster.protocol.message.WorkerCommand.PeerAddress;
import org.ftcluster.protocol.message.WorkerDescription;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;

@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class KryoSerializerTest {
  private static final int PREPARE_RANK_ID = 33;

  private ActorTestKit kit;
  private Serialization serialization;
  private KryoSerializer serializer;

  @BeforeAll
  void start() throws Exception {
    kit =
        ActorTestKit.create(
            ConfigFactory.parseString(
                    "pekko.remote.artery.canonical { hostname = 127.0.0.1, port = 0 }")
                .withFallback(ConfigFactory.parseResources("ftcluster.conf"))
                .withFallback(ConfigFactory.load()));
    serialization = SerializationExtension.get(kit.system());
    serializer =
        assertInstanceOf(
            KryoSerializer.class, serialization.serializerFor(WorkerCommand.PrepareRank.class));
  }

  @AfterAll
  void stop() {
    kit.shutdownTestKit();
  }

  @Test
  void everyMessageComesBackAsItWas() throws Exception {
    for (Object message : messages()) {
      assertEquals(message, roundTrip(message));
    }
  }

  @Test
  void aPrepareRankComesBackAsItWas() throws Exception {
    WorkerCommand.PrepareRank sent = prepareRank("model: {path: \"/modèle\"}\n");
    WorkerCommand.PrepareRank read =
        assertInstanceOf(WorkerCommand.PrepareRank.class, roundTrip(sent));
    assertArrayEquals(sent.secret(), read.secret());
    assertEquals(sent.jobYaml(), read.jobYaml());
    assertEquals(sent.reports(), read.reports());
    assertEquals(
        List.of(sent.job(), sent.generation(), sent.rank(), sent.worldSize()),
        List.of(read.job(), read.generation(), read.rank(), read.worldSize()));
  }

  @Test
  void everyMessageTypeIsTested() {
    var tested =
        Stream.concat(messages().stream(), Stream.of(prepareRank("")))
            .map(Object::getClass)
            .collect(Collectors.toSet());
    Stream.of(WorkerCommand.class, RankReport.class)
        .flatMap(family -> Arrays.stream(family.getPermittedSubclasses()))
        .forEach(type -> assertTrue(tested.contains(type), () -> type + " has no round trip"));
  }

  @Test
  void whatIsNoMessageIsNotWritten() {
    for (Object other : List.of("text", new PeerAddress("host", 1), new ArrayList<>())) {
      assertThrows(IllegalArgumentException.class, () -> serializer.toBinary(other));
    }
  }

  @Test
  void whatIsNoMessageIsNotRead() {
    Kryo kryo = MessageTypes.kryo(ActorRefResolver.get(kit.system()));
    for (Object other : List.of("text", new PeerAddress("host", 1), 7)) {
      Output output = new Output(64);
      kryo.writeClassAndObject(output, other);
      assertRefused(output.toBytes());
    }
  }

  @Test
  void aTypeWithoutANumberIsNotRead() {
    Output output = new Output(64);
    output.writeVarInt(99 + 2, true); // Kryo's tag of the type numbered 99
    assertRefused(output.toBytes());
    // A class name, as Kryo writes it where registration isn't required
    Output named = new Output(64);
    named.writeVarInt(1, true);
    named.writeVarInt(0, true);
    named.writeString("java.util.ArrayList");
    assertRefused(named.toBytes());
  }

  @Test
  void oversizedMessagesAreRefusedOnBothSides() {
    String yaml = "#".repeat(KryoSerializer.MAX_BYTES);
    assertThrows(IllegalArgumentException.class, () -> serializer.toBinary(prepareRank(yaml)));
    assertRefused(new byte[KryoSerializer.MAX_BYTES + 1]);
  }

  @Test
  void aLengthThatTheBytesCannotFillIsRefusedBeforeItIsAllocated() {
    Output bytes = new Output(64);
    bytes.writeVarInt(PREPARE_RANK_ID + 2, true);
    bytes.writeVarIntFlag(true, Integer.MAX_VALUE, true); // a string of 2 Gi characters
    assertRefused(bytes.toBytes());
  }

  @Test
  void truncatedAndTrailingBytesAreRefused() {
    byte[] whole = serializer.toBinary(prepareRank("name: x"));
    for (int length = 0; length < whole.length; length++) {
      assertRefused(Arrays.copyOf(whole, length));
    }
    assertRefused(Arrays.copyOf(whole, whole.length + 1));
  }

  @Test
  void anActorReferenceWithoutAPathIsRefused() {
    Kryo kryo = MessageTypes.kryo(ActorRefResolver.get(kit.system()));
    for (String path : new String[] {null, ""}) {
      Output output = new Output(16);
      output.writeString(path);
      Input input = new Input(output.toBytes());
      assertThrows(KryoException.class, () -> kryo.readObject(input, ActorRef.class));
    }
  }

  @Test
  void garbageIsRefusedOrReadAsAMessage() {
    Random random = new Random(42);
    List<byte[]> seeds = messages().stream().map(serializer::toBinary).toList();
    for (int i = 0; i < 20_000; i++) {
      byte[] bytes = seeds.get(random.nextInt(seeds.size())).clone();
      for (int flips = 1 + random.nextInt(4); flips > 0; flips--) {
        bytes[random.nextInt(bytes.length)] = (byte) random.nextInt();
      }
      try {
        assertTrue(MessageTypes.isMessage(serializer.fromBinary(bytes, "").getClass()));
      } catch (Exception e) {
        assertInstanceOf(NotSerializableException.class, e);
      }
    }
  }

  private Object roundTrip(Object message) throws Exception {
    byte[] bytes = serialization.serialize(message).get();
    return serialization
        .deserialize(bytes, serialization.findSerializerFor(message).identifier(), "")
        .get();
  }

  private void assertRefused(byte[] bytes) {
    assertThrows(NotSerializableException.class, () -> serializer.fromBinary(bytes, ""));
  }

  private WorkerCommand.PrepareRank prepareRank(String yaml) {
    TestProbe<RankReport> reports = kit.createTestProbe();
    return new WorkerCommand.PrepareRank(
        "job-1", 7, 1, 2, yaml, new byte[] {1, 2, 3, -4}, reports.ref());
  }

  private List<Object> messages() {
    TestProbe<WorkerDescription> descriptions = kit.createTestProbe();
    return List.of(
        new WorkerCommand.Describe(new Epoch("j", 3), descriptions.ref()),
        new WorkerCommand.ReportTo(
            new Epoch("j", 4), "job-1", 7, kit.<RankReport>createTestProbe().ref()),
        new WorkerCommand.NoteHeard("job-1", 7, "évaluation"),
        new RankReport.Paced("job-1", 7, 2, 2.5, RankReport.Pace.HOLDS_UP),
        new RankReport.Resumed("job-1", 7, 2, kit.<WorkerCommand>createTestProbe().ref()),
        new WorkerCommand.StartRank(
            "job-1", 7, List.of(new PeerAddress("10.0.0.1", 1), new PeerAddress("::1", 2)), -1),
        new WorkerCommand.StartRank("job-1", 8, List.of(), 0),
        new WorkerCommand.StopRank("job-1", Long.MAX_VALUE, "a worker was lost"),
        new WorkerCommand.ReleaseJob("job-1"),
        new WorkerCommand.LoadJob("job-1", "name: a"),
        new WorkerCommand.HandOver("job-1", 8),
        new RankReport.HandedOver("job-1", 8, 1, 12),
        new RankReport.Leaving("job-1", 8, 1, "a spot notice"),
        new WorkerCommand.Drain("someone asked for it"),
        new RankReport.Prepared("job-1", 7, 0, new PeerAddress("localhost", 65535), -1, 300),
        new RankReport.Started("job-1", 7, 0, 12),
        new RankReport.StepCompleted(
            "job-1",
            7,
            0,
            new StepMetrics(13, 0.5, 1.25, Double.NaN, 2e-3, 4096, 32, 1234.5, 2, 7)),
        new RankReport.Noted("job-1", 7, 0, "évaluation"),
        new RankReport.Completed(
            "job-1",
            7,
            0,
            new TrainingResult(300, 280, Double.NaN, 0.5, "/out/adapter", "ab12", 1e3, 60.5, 9600)),
        new RankReport.Failed("job-1", 7, 1, Cause.LOST_PEER, "rank 0 is gone"),
        new WorkerDescription(
            "pekko://ftcluster@127.0.0.1:1", "h", 42, "cpu", "IDLE", "", -1, 0, 1.5));
  }
}
