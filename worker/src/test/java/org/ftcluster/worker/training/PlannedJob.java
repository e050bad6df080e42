package org.ftcluster.worker.training;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpecReader;

/** Two steps of the sample job in float32, with another model. */
final class PlannedJob {
  static final Path SAMPLE = Path.of("../deploy/samples/decompile");

  private PlannedJob() {}

  /**
   * @param more settings, as {@code --set} has them
   */
  static JobSpec of(Path model, String... more) {
    List<String> sets =
        new ArrayList<>(
            List.of(
                "model.path=" + model,
                "model.dtype=float32",
                "model.quantization.type=none",
                "data.train.path=eval.jsonl",
                "data.eval.path=eval.jsonl",
                "training.max_steps=2"));
    sets.addAll(Arrays.asList(more));
    return JobSpecReader.read(SAMPLE.resolve("job.yaml"), sets);
  }
}
