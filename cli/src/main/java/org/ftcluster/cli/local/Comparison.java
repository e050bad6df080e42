package org.ftcluster.cli.local;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.cli.jvm.ChildJvm;
import org.ftcluster.protocol.job.JobSpec;
import org.jspecify.annotations.Nullable;

/**
 * What a model answers to held-back prompts, before and after training.
 *
 * @param before lines of {@code generate --data}, without the adapter
 * @param after the same prompts, with it
 */
record Comparison(List<JsonNode> before, List<JsonNode> after) {
  private static final int SAMPLES = 100;
  private static final int MAX_NEW_TOKENS = 160;
  private static final Duration TIMEOUT = Duration.ofMinutes(10);

  /** A prompt and both answers. */
  record Example(String prompt, String before, String after, boolean exact) {}

  /** Generates with and without the adapter, in two processes at once. */
  static Comparison run(JobSpec job, Path adapter, RunFolder folder) {
    try (ChildJvm base = start("before", job, null, folder);
        ChildJvm tuned = start("after", job, adapter, folder)) {
      return new Comparison(base.awaitOutput(TIMEOUT), tuned.awaitOutput(TIMEOUT));
    }
  }

  private static ChildJvm start(
      String name, JobSpec job, @Nullable Path adapter, RunFolder folder) {
    return ChildJvm.start(
        ChildLaunch.generate(name, job, adapter, SAMPLES, MAX_NEW_TOKENS, folder));
  }

  int samples() {
    return after.size();
  }

  /** Answers that are as expected, character by character. */
  long exactBefore() {
    return exact(before);
  }

  long exactAfter() {
    return exact(after);
  }

  /** Some prompts with their answers: those that training got right first. */
  List<Example> examples(int count) {
    List<Example> right = new ArrayList<>();
    List<Example> wrong = new ArrayList<>();
    for (int i = 0; i < after.size(); i++) {
      Example example = example(i);
      (example.exact() ? right : wrong).add(example);
    }
    right.addAll(wrong);
    return right.subList(0, Math.min(count, right.size()));
  }

  private Example example(int index) {
    JsonNode line = after.get(index);
    return new Example(
        line.path("prompt").asText(),
        before.get(index).path("text").asText(),
        line.path("text").asText(),
        line.path("exact").asBoolean());
  }

  private static long exact(List<JsonNode> lines) {
    return lines.stream().filter(line -> line.path("exact").asBoolean()).count();
  }
}
