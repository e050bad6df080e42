package org.ftcluster.coordinator.journal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.NotSerializableException;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import org.ftcluster.coordinator.job.JobEvent;
import org.ftcluster.coordinator.job.WorkerDemand;
import org.ftcluster.coordinator.registry.JobNumbered;
import org.ftcluster.protocol.message.RankReport.TrainingResult;
import org.junit.jupiter.api.Test;

class EventSerializerTest {
  private static final List<JobEvent> EVENTS =
      List.of(
          new JobEvent.Submitted("décompile", "name: x\n", new WorkerDemand(2, 8, 2, true)),
          new JobEvent.Queued(),
          new JobEvent.GenerationPlanned(7, List.of("10.0.0.1:2551", "10.0.0.2:2551")),
          new JobEvent.GenerationStarted(7, 12, 300),
          new JobEvent.GenerationLost(7, 14, "rank 1 was lost"),
          new JobEvent.GenerationHandedOver(8, 14, "there are more workers"),
          new JobEvent.Scaled(3),
          new JobEvent.Paused(15),
          new JobEvent.Resumed(),
          new JobEvent.Succeeded(
              new TrainingResult(300, 280, Double.NaN, 0.25, "/a", "ab12", 1e4, 60.5, 9600)),
          new JobEvent.Failed(16, "no worker joined in time"),
          new JobEvent.Cancelled(17));

  private final EventSerializer serializer = new EventSerializer();

  @Test
  void everyEventComesBackAsItWas() throws Exception {
    for (JobEvent event : EVENTS) {
      assertEquals("job-event", serializer.manifest(event));
      assertEquals(event, serializer.fromBinary(serializer.toBinary(event), "job-event"));
    }
    JobNumbered numbered = new JobNumbered("decompile-1");
    assertEquals("job-numbered", serializer.manifest(numbered));
    assertEquals(numbered, serializer.fromBinary(serializer.toBinary(numbered), "job-numbered"));
  }

  @Test
  void everyEventIsTested() {
    assertEquals(
        Arrays.stream(JobEvent.class.getPermittedSubclasses()).collect(Collectors.toSet()),
        EVENTS.stream().map(Object::getClass).collect(Collectors.toSet()));
  }

  @Test
  void whatIsNoEventIsRefused() {
    assertThrows(IllegalArgumentException.class, () -> serializer.toBinary("text"));
    assertThrows(
        NotSerializableException.class, () -> serializer.fromBinary(new byte[0], "job-event"));
    assertThrows(
        NotSerializableException.class,
        () -> serializer.fromBinary(new byte[] {(byte) 0xff}, "job-event"));
    NotSerializableException newer =
        assertThrows(
            NotSerializableException.class, () -> serializer.fromBinary(new byte[0], "else"));
    assertTrue(newer.getMessage().contains("'else'"), newer.getMessage());
  }
}
