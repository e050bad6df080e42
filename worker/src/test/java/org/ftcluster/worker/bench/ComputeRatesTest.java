package org.ftcluster.worker.bench;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.List;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpecReader;
import org.ftcluster.worker.data.Dataset;
import org.ftcluster.worker.data.GlobalBatches;
import org.ftcluster.worker.data.MicroBatch;
import org.ftcluster.worker.data.Tokenizer;
import org.ftcluster.worker.model.ModelConfigReader;
import org.junit.jupiter.api.Test;

/** Ranks that compute and wait for each other. */
class ComputeRatesTest {
  private static final JobSpec JOB =
      JobSpecReader.read(
          Path.of("../deploy/samples/decompile/job.yaml"),
          List.of(
              "data.train.path=eval.jsonl",
              "training.global_batch_size=3",
              "training.micro_batch_size=1"));

  @Test
  void someOrAllOfTheRanksComputeInSlicesAndMeetAfterSomeMicroBatches() {
    try (ComputeRates rates = new ComputeRates(JOB, microBatches(), 2, 2, 4)) {
      for (int working : List.of(1, 2, 4)) {
        assertTrue(rates.seconds(working) > 0);
      }
    }
  }

  private static List<MicroBatch> microBatches() {
    int vocabulary = ModelConfigReader.read(JOB.model().path()).vocabularySize();
    try (Tokenizer tokenizer = Tokenizer.open(JOB.model().path(), vocabulary)) {
      Dataset data = Dataset.load(JOB.data().train(), tokenizer, JOB.data().maxLength(), 1);
      return new GlobalBatches(data, JOB).batch(0).microBatches();
    }
  }
}
