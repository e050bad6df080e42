package org.ftcluster.worker.training;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpecWriter;
import org.yaml.snakeyaml.LoaderOptions;
import org.yaml.snakeyaml.Yaml;
import org.yaml.snakeyaml.constructor.SafeConstructor;

/**
 * What tells whether a checkpoint is of this job: a hash of all settings that decide what is
 * learned. Those left out decide where and how it is computed, and may change between a checkpoint
 * and going on from it.
 */
final class JobFingerprint {
  private static final List<String> SECTIONS_LEFT_OUT =
      List.of("name", "parallel", "elastic", "resources", "checkpoint");
  private static final List<String> TRAINING_LEFT_OUT =
      List.of("micro_batch_size", "gradient_checkpointing", "reduction", "log_samples");

  private JobFingerprint() {}

  static String of(JobSpec spec) {
    Map<String, Object> job =
        new Yaml(new SafeConstructor(new LoaderOptions())).load(JobSpecWriter.toYaml(spec));
    SECTIONS_LEFT_OUT.forEach(job::remove);
    if (job.get("training") instanceof Map<?, ?> training) {
      TRAINING_LEFT_OUT.forEach(training::remove);
    }
    try {
      byte[] hash =
          MessageDigest.getInstance("SHA-256")
              .digest(job.toString().getBytes(StandardCharsets.UTF_8));
      return HexFormat.of().formatHex(hash);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("SHA-256 is part of every JDK", e);
    }
  }
}
