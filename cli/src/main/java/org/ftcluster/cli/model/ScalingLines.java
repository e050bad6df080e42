package org.ftcluster.cli.model;

import java.util.Locale;
import org.ftcluster.cli.console.Console;
import org.ftcluster.worker.bench.ScalingTable;
import org.ftcluster.worker.parallel.Mesh;

/** What is predicted of large models on many GPUs. */
final class ScalingLines {
  private ScalingLines() {}

  static void print(Console console) {
    console.text(
        "| model | GPUs | data x pipeline x tensor | chunks | sharding | recompute | GB | bubble |"
            + " s a step | tokens/s | efficiency |");
    console.text("|---|---|---|---|---|---|---|---|---|---|---|");
    for (ScalingTable.Row row : ScalingTable.rows()) {
      console.json(row);
      Mesh mesh = row.layout().mesh();
      console.text(
          String.format(
              Locale.ROOT,
              "| %s | %d | %d x %d x %d | %d | %s | %s | %.0f | %.1f%% | %.1f | %,.0f | %.0f%% |",
              row.model(),
              row.gpus(),
              mesh.data(),
              mesh.pipeline(),
              mesh.tensor(),
              row.layout().interleave(),
              row.layout().sharding().name().toLowerCase(Locale.ROOT)
                  + (mesh.groups() == 1 ? "" : " in groups of " + mesh.groupSize()),
              row.recompute() ? "yes" : "no",
              row.memoryBytes() / 1e9,
              row.bubble() * 100,
              row.seconds(),
              row.tokensPerSecond(),
              row.efficiency() * 100));
    }
  }
}
