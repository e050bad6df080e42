package org.ftcluster.cli.model;

import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import org.ftcluster.cli.console.Console;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpec.Sharding;
import org.ftcluster.protocol.job.JobSpecReader;
import org.ftcluster.worker.bench.MirrorBenchmark;

/** What mirrors cost, as it is measured. */
final class MirrorTable {
  private static final int RANKS = 4;

  private MirrorTable() {}

  static void print(Path path, int steps, Console console) {
    JobSpec job = JobSpecReader.read(path, List.of());
    console.text("| sharding | ranks | s a step | without mirrors | cost |");
    console.text("|---|---|---|---|---|");
    for (Sharding sharding : List.of(Sharding.ZERO1, Sharding.ZERO2, Sharding.ZERO3)) {
      MirrorBenchmark.Line line = MirrorBenchmark.run(job, sharding, RANKS, steps);
      console.json(line);
      console.text(
          String.format(
              Locale.ROOT,
              "| %s | %d | %.4f | %.4f | %+.1f%% |",
              sharding.name().toLowerCase(Locale.ROOT),
              line.ranks(),
              line.seconds(),
              line.secondsWithout(),
              line.cost() * 100));
    }
  }
}
