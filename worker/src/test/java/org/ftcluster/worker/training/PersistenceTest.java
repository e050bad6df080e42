package org.ftcluster.worker.training;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.ftcluster.worker.collective.CollectiveException;
import org.junit.jupiter.api.Test;

/** A disk that is full for a while costs a job nothing but time. */
class PersistenceTest {
  private static final Path FILE = Path.of("metrics.jsonl");

  private final List<String> notes = new ArrayList<>();
  private final AtomicInteger tries = new AtomicInteger();

  @Test
  void whatCannotBeWrittenIsTriedAgainAndNotedOnce() {
    Persistence persistence = new Persistence(Duration.ofMinutes(1), () -> {}, notes::add);

    assertEquals("written", persistence.write(() -> fullUntil(3)));

    assertEquals(3, tries.get());
    assertEquals(
        List.of(
            "metrics.jsonl: can't be written: No space left on device. It is tried again for 60 s."),
        notes);
  }

  @Test
  void notForEver() {
    Persistence persistence = new Persistence(Duration.ZERO, () -> {}, notes::add);

    assertThrows(OutputException.class, () -> persistence.write(() -> fullUntil(1000)));

    assertEquals(1, tries.get());
    assertEquals(List.of(), notes);
  }

  @Test
  void notWhereNoTimeHelps() {
    Persistence persistence = new Persistence(Duration.ofMinutes(1), () -> {}, notes::add);

    assertThrows(
        OutputException.class,
        () ->
            persistence.write(
                () -> {
                  throw new OutputException(FILE, new AccessDeniedException("metrics.jsonl"));
                }));
    assertEquals(List.of(), notes);
  }

  @Test
  void aGenerationThatIsOverIsNotWaitedFor() {
    Runnable over =
        () -> {
          throw new CollectiveException("generation 3 was stopped");
        };
    Persistence persistence = new Persistence(Duration.ofMinutes(1), over, notes::add);

    assertThrows(CollectiveException.class, () -> persistence.write(() -> fullUntil(3)));

    assertEquals(1, tries.get());
  }

  private String fullUntil(int last) {
    if (tries.incrementAndGet() < last) {
      throw new OutputException(FILE, new IOException("No space left on device"));
    }
    return "written";
  }
}
