package org.ftcluster.cli.chaos;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import org.ftcluster.cli.Cli;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What a game day is asked for. */
class ChaosCommandTest {
  private static final String JOB =
      Path.of("../deploy/samples/decompile/job.yaml").toAbsolutePath().toString();

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          --faults=kill,flood | --faults: 'flood' is none of kill,pause,partition,
          --workers=0 | --workers is 0, but the job needs at least 1 worker
          --set=parallel=auto | parallel: auto leaves the layout open
          --set=parallel={tensor: 2, pipeline: 4} | --workers is 4, but the job needs at least 8 workers
          --minutes=0 | --count, --minutes and --every are numbers
          --set=training.reduction=fast | training.reduction: fast promises no adapter
          --set=checkpoint.remote=/tmp/x | checkpoint.remote: a game day keeps its results
          --reference=nowhere | --reference: nowhere has no job.yaml
          """)
  void aWrongRequestIsASentence(String argument, String sentence) {
    Cli.Result result = Cli.run("chaos", JOB, argument);

    assertEquals(2, result.exitCode());
    assertTrue(result.err().contains(sentence), result.err());
  }

  @Test
  void theScheduleCanBeSeenFirst() {
    Cli.Result first = Cli.run("chaos", JOB, "--plan", "--seed=7", "--count=5", "--json");
    Cli.Result second = Cli.run("chaos", JOB, "--plan", "--seed=7", "--count=5", "--json");

    assertEquals(0, first.exitCode());
    assertEquals(5, first.lines().size());
    assertEquals(first.out(), second.out());
    assertEquals(
        "{\"number\":1,\"after_seconds\":",
        first.lines().getFirst().replaceFirst("(after_seconds\":).*", "$1"));
  }
}
