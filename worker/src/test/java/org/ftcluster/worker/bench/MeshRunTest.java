package org.ftcluster.worker.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Path;
import java.util.List;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpec.Parallel;
import org.ftcluster.protocol.job.JobSpec.Sharding;
import org.ftcluster.protocol.job.JobSpecReader;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A mesh that stands still between some steps and others. */
class MeshRunTest {
  private static final Path SAMPLE = Path.of("../deploy/samples/decompile/job.yaml");

  @ParameterizedTest
  @EnumSource(
      value = Sharding.class,
      names = {"NONE", "ZERO3"})
  void takesAsManyStepsAsItIsAskedForEachTime(Sharding sharding) {
    JobSpec job =
        JobSpecReader.read(
            SAMPLE,
            List.of(
                "data.train.path=eval.jsonl",
                "training.global_batch_size=4",
                "training.micro_batch_size=2"));
    Parallel halves = new Parallel(2, 1, 1, 1, sharding, 0, true);

    try (MeshRun mesh = new MeshRun(job, halves, 2, 7)) {
      assertEquals(2, mesh.run(3).size());
      assertEquals(1, mesh.run(2).size());
      assertEquals(1, mesh.run(2).size()); // the job's last
    }
  }
}
