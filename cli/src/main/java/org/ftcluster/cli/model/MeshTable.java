package org.ftcluster.cli.model;

import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import org.ftcluster.cli.console.Console;
import org.ftcluster.protocol.job.JobSpecReader;
import org.ftcluster.worker.bench.MeshBenchmark;

/** Steps of a job in every kind of mesh beside what is predicted, as they are run. */
final class MeshTable {
  private static final int MOST_RANKS = 4;

  private MeshTable() {}

  static void print(Path job, int steps, int turns, Console console) {
    console.text("| data x pipeline x tensor | chunks | sharding | s a step | predicted | error |");
    console.text("|---|---|---|---|---|---|");
    MeshBenchmark.run(
        JobSpecReader.read(job, List.of()),
        steps,
        turns,
        MOST_RANKS,
        line -> {
          console.json(line);
          console.text(
              String.format(
                  Locale.ROOT,
                  "| %d x %d x %d | %d | %s | %.3f | %.3f | %+.0f%% |",
                  line.mesh().data(),
                  line.mesh().pipeline(),
                  line.mesh().tensor(),
                  line.mesh().interleave(),
                  line.mesh().sharding().name().toLowerCase(Locale.ROOT),
                  line.seconds(),
                  line.predicted().seconds(),
                  line.error() * 100));
        });
  }
}
