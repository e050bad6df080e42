package org.ftcluster.worker.data;

import java.nio.file.Path;
import java.util.List;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpecReader;

/** The sample job that comes with ftcluster. */
final class SampleJob {
  static final Path FOLDER = Path.of("../deploy/samples/decompile");
  static final int EMBEDDINGS = 1024;

  private SampleJob() {}

  static JobSpec spec(String... sets) {
    return JobSpecReader.read(FOLDER.resolve("job.yaml"), List.of(sets));
  }

  static Tokenizer tokenizer() {
    return Tokenizer.open(FOLDER.resolve("base"), EMBEDDINGS);
  }
}
