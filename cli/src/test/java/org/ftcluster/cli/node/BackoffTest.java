package org.ftcluster.cli.node;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.time.Duration;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** How pauses between tries grow. */
class BackoffTest {
  private final Backoff pauses = new Backoff(Duration.ofSeconds(1), Duration.ofSeconds(6));

  @Test
  void eachIsTwiceTheOneBeforeUpToTheLongest() {
    assertEquals(List.of(1L, 2L, 4L, 6L, 6L), next(5));
  }

  @Test
  void theyBeginAnewAfterATryThatWasWorthIt() {
    next(3);

    pauses.reset();

    assertEquals(List.of(1L, 2L), next(2));
  }

  private List<Long> next(int count) {
    return Stream.generate(pauses::next).limit(count).map(Duration::toSeconds).toList();
  }
}
