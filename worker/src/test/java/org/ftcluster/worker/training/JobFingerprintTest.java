package org.ftcluster.worker.training;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import java.nio.file.Path;
import java.util.List;
import org.ftcluster.protocol.job.JobSpecReader;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class JobFingerprintTest {
  @ParameterizedTest
  @ValueSource(
      strings = {
        "training.learning_rate=0.1",
        "training.max_steps=3",
        "training.seed=1",
        "training.global_batch_size=64",
        "data.max_length=400",
        "data.packing=true",
        "adapter.r=8",
        "model.quantization.type=none"
      })
  void whatDecidesWhatIsLearnedMakesAnotherJob(String set) {
    assertNotEquals(fingerprint(), fingerprint(set));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "name=other",
        "training.micro_batch_size=2",
        "training.gradient_checkpointing=true",
        "training.log_samples=true",
        "elastic.max_workers=3",
        "resources.threads=2",
        "checkpoint.path=elsewhere"
      })
  void whatDecidesHowAndWhereItIsComputedDoesNot(String set) {
    assertEquals(fingerprint(), fingerprint(set));
  }

  private static String fingerprint(String... sets) {
    return JobFingerprint.of(
        JobSpecReader.read(Path.of("../deploy/samples/decompile/job.yaml"), List.of(sets)));
  }
}
